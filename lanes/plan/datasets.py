"""The data sets of a plan: each loaded once, with the fingerprint of its arrays."""

import functools
import hashlib
import inspect
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lanes.data.fingerprints import FORM, difference, fingerprint
from lanes.data.loading import Dataset, Description, first_examples, load_dataset, named
from lanes.data.tfds import TFDS
from lanes.describe.columns import display_name
from lanes.describe.descriptions import map_traced
from lanes.describe.encoding import encode
from lanes.describe.identity import Descriptions
from lanes.describe.reading import read_as
from lanes.describe.runs import TABLES, Run
from lanes.errors import RequestError

# Data of the user's own code are loaded twice to see whether the arrays are the same, unless that costs more than this.
MOST_SECONDS = 5.0
MOST_BYTES = 1 << 30
HELD_OUT = ("test", FORM)  # parts of a fingerprint that do not depend on valid_fraction


class DataRecord(NamedTuple):
    """Which arrays a run is trained on.

    Attributes:
        id: equal for runs whose data are described alike: a hash of the description; for a description whose validation
            split the run sets, also `valid_fraction`, behind a slash.
        fingerprint: of the arrays before `train_examples` takes some of them, and for a function before the run's
            `valid_fraction` splits them.
        name: of the data, in messages.
    """

    id: str
    fingerprint: str
    name: str = "data"

    def differs_from(self, other_id: str, other_fingerprint: str) -> str:
        """What differs from the arrays of another record of the same description, in words; "" if nothing does."""
        if self.id == other_id:
            return difference(self.fingerprint, other_fingerprint)
        alike = self.description == other_id.partition("/")[0]
        return difference(self.fingerprint, other_fingerprint, HELD_OUT) if alike else ""

    @property
    def description(self) -> str:
        """The id without `valid_fraction`."""
        return self.id.partition("/")[0]


class Datasets:
    """Data sets, each loaded once for the runs that see the same arrays."""

    def __init__(self, data_dir: str | None = None):
        self.data_dir = data_dir
        self.descriptions = Descriptions()
        self._loaded: dict[str, tuple[Dataset, DataRecord]] = {}
        self._read: dict[str, Dataset] = {}  # those that runs read in unlike ways, by how
        self._first: dict[str, dict[str, DataRecord]] = {}  # the first load of each id, by description
        self._costly: set[str] = set()  # descriptions that are not loaded a second time

    def of(self, run: Run) -> Dataset:
        """The run's data set, as the run reads it. Raises ValueError as `load_dataset` and `read_as` do."""
        loaded = self.entry(run)[0]
        if not loaded.is_ambiguous:
            return loaded
        key = self.key(run)
        # Numbers are left out: of the run that stands for a pack, they are blank.
        reading = [map_traced(name, getattr(run, name), _blank) for name in ("task", "loss", "net")]
        reader = f"{key} by {[encode(part, self.descriptions.versions) for part in reading]}"
        if reader not in self._read:
            read = read_as(run, loaded)
            # One object for all runs that read the arrays in the same way.
            self._read[reader] = self._read.setdefault(f"{key} as {read.task}, tokens: {read.holds_tokens}", read)
        return self._read[reader]

    def record(self, run: Run) -> DataRecord:
        """Which arrays the run is trained on. Raises ValueError as `load_dataset` does."""
        return self.entry(run)[1]

    def check_repeatable(self, runs: Iterable[Run]) -> None:
        """Load data of the user's own code once more, which must give the same arrays.

        Data that took more than MOST_SECONDS to load or hold more than MOST_BYTES are not loaded again.

        Raises RequestError if the arrays differ, or if the code cannot be called again.
        """
        done: set[str] = set()
        for run in runs:
            record = self.record(run)
            if record.description in done | self._costly or not _is_users(run.data):
                continue
            done.add(record.description)
            try:
                self._whole(run)
            except RequestError:
                raise
            except Exception as error:
                raise RequestError(
                    f"{record.name} cannot be loaded a second time: {type(error).__name__}: {error}; it must give the same "
                    "arrays each time it is called"
                ) from error

    def key(self, run: Run) -> str:
        """A key that is equal for runs that see the same arrays."""
        names = ("data", "valid_fraction", "train_examples")
        return str([self.descriptions.text(getattr(run, name)) for name in names])

    def entry(self, run: Run) -> tuple[Dataset, DataRecord]:
        """The run's data set, and which arrays it is trained on. Raises ValueError as `load_dataset` does."""
        key = self.key(run)  # describes a function before it is called
        if key not in self._loaded:
            if isinstance(run.data, TFDS):
                named(run.data.name, self.data_dir)  # a helpful error if the name is unknown or not prepared
            data, record = self._whole(run)
            if run.train_examples is not None:
                data = first_examples(data, run.data, run.train_examples)
            self._loaded[key] = data, record
        return self._loaded[key]

    def _whole(self, run: Run) -> tuple[Dataset, DataRecord]:
        """The run's data with all training examples, loaded now, and compared with what was loaded before."""
        began = time.perf_counter()
        source = run.data
        text = ""
        if run.valid_fraction is not None and not isinstance(source, Description) and callable(source):
            source = _called(source)
            text = fingerprint(load_dataset(source, data_dir=self.data_dir))  # whatever is cut off for validation
        data = load_dataset(source, valid_fraction=run.valid_fraction, data_dir=self.data_dir)
        seconds = time.perf_counter() - began
        record = DataRecord(self._id(run), text or fingerprint(data), _name(run.data))
        first = self._first.setdefault(record.description, {})
        for known in first.values():
            differs = record.differs_from(known.id, known.fingerprint)
            if differs:
                raise RequestError(
                    f"{record.name} gives other arrays each time it is called (fingerprint of {differs}): make the generator "
                    "it draws from inside it, with a seed: np.random.default_rng(0)"
                )
        first.setdefault(record.id, record)
        if seconds > MOST_SECONDS or data.nbytes > MOST_BYTES:
            self._costly.add(record.description)
        return data, record

    def _id(self, run: Run) -> str:
        described = self.descriptions.text(run.data)
        is_description = isinstance(run.data, Description)
        if is_description and _is_users(run.data):
            described += f" {run.valid_fraction!r}"  # their test split may depend on it
        digits = hashlib.sha256(described.encode()).hexdigest()[:12]
        return f"{digits}/{run.valid_fraction!r}" if is_description and run.valid_fraction is not None else digits


def _blank(path: str, number: float) -> str:  # noqa: ARG001
    return "traced"


def _called(make: Callable[[], Any]) -> Callable[[], Any]:
    """A function of the same name that gives what `make` gives, which is called now."""
    result = make()

    def give() -> Any:
        return result

    give.__name__ = getattr(make, "__name__", type(make).__name__)
    return give


def _is_users(data: Any) -> bool:
    """Whether the user's own code makes the arrays."""
    while isinstance(data, functools.partial):
        data = data.func
    maker = data if inspect.isroutine(data) else type(data)
    return maker.__module__.split(".")[0] != "lanes"


def _name(data: Any) -> str:
    name = display_name(data, TABLES["data"])
    return f"data {name}" if isinstance(data, Description) else f"data function {name}"
