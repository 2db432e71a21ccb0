"""Wrong requests drawn at random are refused with one line, and nothing is written."""

import dataclasses
import datetime
import functools
import os
import pathlib
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_sweeps import GOOD

from lanes.cluster.batch_jobs import parse_shard
from lanes.data.generated_sets import Blobs
from lanes.describe import runs
from lanes.describe.settings import only, with_settings
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.recipe.augmentations import AUGMENTATIONS
from lanes.recipe.optimizers import OPTIMIZERS
from lanes.recipe.schedules import SCHEDULES
from losses import LOSSES, METRICS, PENALTIES
from nets import MLP, LeNet5
from nets.activations import ACTIVATIONS, LeakyReLU
from nets.initializers import INITIALIZERS

CHECKOUT = Path(__file__).parents[2]
QUIETLY = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


class Unhashable:
    """A value without a hash, whose repr has two lines."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "a text\nof two lines"


@dataclasses.dataclass
class Loose:
    """A callable dataclass that is not frozen."""

    slope: list = dataclasses.field(default_factory=list)

    def __call__(self, x):
        return x


ENTRIES = [
    entry
    for table in (ACTIVATIONS, INITIALIZERS, LOSSES, METRICS, PENALTIES, OPTIMIZERS, SCHEDULES, AUGMENTATIONS)
    for entry in table.values()
]
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([np.float32(-1), np.int64(0), np.float64("nan"), 1 + 2j, True, False, np.bool_(True)]),
)
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["adam", "relu", "mnist", "digits", "", "\n", "a\nb", "../..", "%s{}"])
)
OBJECTS = st.sampled_from(
    [
        None,
        b"bytes",
        [],
        (),
        {},
        {"a": 1},
        {1, 2},
        object(),
        object,
        lambda x: x,
        functools.partial(max, 1),
        print,
        len,
        np.zeros(3),
        np.array(1.0),
        datetime.date(2020, 1, 1),
        pathlib.Path("x"),
        Unhashable(),
        Loose(),
        MLP,
        MLP(widths=()),
        MLP(widths=(0,)),
        MLP(widths=(-3,)),
        MLP(widths=("a",)),
        MLP(widths=4),
        MLP(widths=(4,), outputs=7),
        LeNet5(),
        LeakyReLU(slope=float("nan")),
        LeakyReLU(slope="steep"),
        Blobs(n=0),
        Blobs(n=-4),
        Blobs(n=2.5),
        Blobs(classes=0),
        GOOD,
        NotImplemented,
        ...,
    ]
)
JUNK = st.one_of(
    NUMBERS, TEXTS, OBJECTS, st.sampled_from(ENTRIES), st.lists(st.one_of(NUMBERS, TEXTS, OBJECTS), max_size=2)
)


def accepted(request) -> bool:
    """Whether a request is accepted; a refusal must be a RequestError of one line."""
    try:
        request()
    except RequestError as error:
        text = str(error)
        assert text.strip(), "an empty message"
        assert "\n" not in text, text
        return False
    return True


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """An empty working directory that must stay empty."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.iterdir())


def search(examples: int, request, *strategies) -> None:
    """Make `examples` requests, the same in every call; more than 40% must be refused."""
    refused = made = 0

    def check(drawn: tuple) -> None:
        nonlocal refused, made
        made += 1
        refused += not accepted(lambda: request(*drawn))

    repeat = settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=QUIETLY
    )
    repeat(given(st.tuples(*strategies))(check))()
    print(f"{refused} of {made} requests refused")
    assert refused > 0.4 * made


def test_fields_of_wrong_values(untouched, many):  # noqa: ARG001
    def request(changes: dict) -> None:
        make_plan([GOOD, dataclasses.replace(GOOD, **changes)], Options(devices=1))

    changes = st.dictionaries(st.sampled_from(list(runs.FIELDS)), JUNK, min_size=1, max_size=2)
    search(many(150, 2500), request, changes)


def test_settings_of_wrong_values(untouched, many):  # noqa: ARG001
    paths = [
        *runs.FIELDS,
        "net.widths",
        "optimizer.b1",
        "schedule.warmup",
        "data.n",
        "net.nothing",
        "x.y.z",
        "activation.slope",
    ]
    path = st.one_of(st.sampled_from(paths), st.text(max_size=8))
    value = st.one_of(
        TEXTS, NUMBERS.map(str), st.sampled_from(["(1,2", "128,,128", "none", "true", "1e400", "٣", "0x10"])
    )

    def request(path: str, value: str, how: str) -> None:
        change = {"set": with_settings, "only": only}[how]
        make_plan(change([GOOD], [f"{path}={value}"]), Options(devices=1))

    search(many(100, 500), request, path, value, st.sampled_from(["set", "only"]))


def test_options_of_wrong_values(untouched, many):  # noqa: ARG001
    def request(devices: int, width: int, mapping: str) -> None:
        make_plan([GOOD], Options(devices=devices, width=width, mapping=mapping))

    mappings = st.sampled_from(["local", "shard_map", "pmap", "data", "", "Local", "x"])
    search(many(20, 60), request, st.integers(-3, 20), st.integers(-3, 20), mappings)


def test_shards_of_wrong_values(many):
    def request(text: str) -> None:
        index, count = parse_shard(text)
        assert 0 <= index < count

    shards = st.one_of(
        st.text(max_size=6), st.tuples(st.integers(-1, 5), st.integers(-1, 5)).map("{0[0]}/{0[1]}".format)
    )
    search(many(50, 200), request, shards)


FILES = {
    "raises.py": "def sweep():\n    raise ValueError('two\\nlines')\n",
    "syntax.py": "def sweep(:\n",
    "import.py": "import nothing_of_this_name\n",
    "exits.py": "import sys\nsys.exit(0)\n",
    "nothing.py": "def sweep():\n    return None\n",
    "empty.py": "def sweep():\n    return []\n",
    "without.py": "x = 1\n",
    "numbers.py": "def sweep():\n    return [1, 2]\n",
    "unhashable.py": "from lanes import Run\nfrom nets import MLP\ndef sweep():\n    return [Run(net=MLP(widths=[[4]]))]\n",
    "lambda.py": "from lanes import Run\ndef sweep():\n    return [Run(activation=lambda x: x)]\n",
    "typo.py": "from lanes import Run\ndef sweep():\n    return [Run(learning_rte=1)]\n",
    "binary.py": "\0\0",
}
COMMANDS = [[f"{{here}}/{name}", "--out", "out"] for name in FILES] + [
    ["{good}", "--out", "out", "--shard", "5/4"],
    ["{good}", "--out", "out", "--devices", "4096"],
    ["{good}", "--out", "out", "--width", "0"],
    ["{good}", "--out", "out", "--width", "wide"],
    ["{good}", "--out", "out", "--set", "learning_rate=fast"],
    ["{good}", "--out", "out", "--set", "net.widthz=3"],
    ["{good}", "--out", "out", "--only", "seed=77"],
    ["{good}", "--out", "out", "--seeds", "0"],
    ["{good}", "--out", "out", "--mapping", "everywhere"],
    ["{good}", "--out", "{good}"],
    ["{here}/missing.py", "--out", "out"],
    ["{good}"],
    ["{good}", "--out", "out", "--max-secondz", "3"],
    ["{good}", "--out", "out", "--set", "data=no_such_set"],
]


@pytest.mark.slow
def test_wrong_requests_through_the_shell(tmp_path, many):
    here = tmp_path / "files"
    here.mkdir()
    for name, text in FILES.items():
        (here / name).write_text(text)
    for command in random.Random(5).sample(COMMANDS, many(4, len(COMMANDS))):
        words = [word.format(here=here, good=CHECKOUT / "experiments" / "quickstart.py") for word in command]
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, str(CHECKOUT / "scripts" / "sweep.py"), *words],
            cwd=work,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT), "JAX_PLATFORMS": "cpu"},
        )
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, (words, done.stderr)
        assert not list(work.iterdir()), words
        assert done.stderr.startswith("error: "), (words, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1, (words, done.stderr)
        assert sorted(path.name for path in here.iterdir()) == sorted(FILES)
