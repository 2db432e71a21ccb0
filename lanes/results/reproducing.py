"""An experiment run again from its file: its sweep, what it measures, its verdict and its picture."""

import dataclasses
import datetime
import importlib.metadata
import io
import json
import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import pandas as pd

from lanes.describe.experiment_files import load_module, runs_of
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus, RequestError
from lanes.files import write_bytes
from lanes.results.verdicts import Results, Verdict, as_json, differing, from_json

GROUPS = ("claims", "papers")  # folders of experiments with a verdict
RECORDED = "recorded"  # the folder beside experiments that holds verdicts and pictures
TABLES = ("runs", "curves", "measured")
LARGEST = 150_000  # bytes of a picture, and of a table
SIZES = (150, 130, 110, 90, 70)  # dots per inch, tried until a picture is small enough


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment file with a verdict.

    Attributes:
        file: its path.
        module: loaded.
    """

    file: Path
    module: Any

    @property
    def name(self) -> str:
        """The file's name without `.py`."""
        return self.file.stem

    @property
    def recorded(self) -> Path:
        """Where its verdict is recorded."""
        return self.file.parent / RECORDED / f"{self.name}.json"

    @property
    def picture(self) -> Path:
        """Where its picture is recorded."""
        return self.recorded.with_suffix(".png")


@dataclasses.dataclass(frozen=True)
class Reproduced:
    """An experiment that was run again.

    Attributes:
        verdict: of today's results.
        picture: PNG; None if the file has no `figure(results)`.
        tables: what verdict and picture were made of, by name: `runs`, `curves`, `measured`.
        seconds: of processor time, in all calls that trained or measured something, as far as they ended.
        differences: from the recorded verdict; None if none is recorded.
    """

    verdict: Verdict
    picture: bytes | None
    tables: dict[str, pd.DataFrame]
    seconds: float
    differences: list[str] | None


def find(names: Sequence[str], folder: Path) -> list[Experiment]:
    """The experiments of a folder by name (`relu_against_sigmoid`), by group (`claims`), or by path, each once.

    Raises RequestError for an unknown name, and for a file without `verdict(results)`.
    """
    known = {path.stem: path for group in GROUPS for path in sorted((folder / group).glob("[!_]*.py"))}
    if not known:
        raise RequestError(f"{folder} has no experiments in {' or '.join(GROUPS)}: give their folder with --folder")
    files: dict[Path, None] = {}
    for name in names:
        if name in GROUPS:
            files |= dict.fromkeys(path for path in known.values() if path.parent.name == name)
        elif name in known:
            files[known[name]] = None
        elif name.endswith(".py"):
            files[Path(name)] = None
        else:
            near = [other for other in known if name.lower() in other] or list(known)[:6]
            raise RequestError(f"experiment {name!r} is unknown: use {', '.join([*GROUPS, *near])}, … or a path")
    return [_loaded(path) for path in files]


def _loaded(path: Path) -> Experiment:
    module = load_module(path)
    if not callable(getattr(module, "verdict", None)):
        raise RequestError(f"{path} has no function verdict(results): define one that returns a lanes.Verdict")
    if not (callable(getattr(module, "sweep", None)) or callable(getattr(module, "measure", None))):
        raise RequestError(f"{path} has neither sweep() nor measure(results): it computes nothing")
    return Experiment(path, module)


def reproduce(experiment: Experiment, out: Path, options: Options, command: Sequence[str]) -> Reproduced | ExitStatus:
    """Train what is missing, measure, judge and draw; the status of the sweep if that did not end well.

    The sweep is in `out/NAME`, what `measure` returned in `out/NAME.measured.parquet`, and these are kept: the same call
    again goes on where it stopped.

    Raises RequestError for a wrong experiment, and for a function of its file that raises.
    """
    began, has_worked = _processor_seconds(), False
    directory = out / experiment.name
    if callable(getattr(experiment.module, "sweep", None)):
        plan = make_plan(runs_of(experiment.file), options)
        outcome = run_sweep(plan, directory, options, experiment=experiment.file, command=list(command))
        if outcome.status != ExitStatus.DONE:
            return ExitStatus(outcome.status)
        has_worked = bool(outcome.trained)
    out.mkdir(parents=True, exist_ok=True)
    kept = _kept(experiment, directory)
    measured = _measured(experiment, directory) if kept is None else kept
    has_worked |= kept is None and measured is not None
    results = Results(directory, measured)
    verdict = _called(experiment, "verdict", results)
    if not isinstance(verdict, Verdict):
        raise RequestError(
            f"verdict(results) of {experiment.file} returned {type(verdict).__name__}: return a lanes.Verdict"
        )
    picture = None
    if callable(getattr(experiment.module, "figure", None)):
        picture = as_png(_called(experiment, "figure", results), experiment)
    differences = differing(read_record(experiment.recorded), verdict) if experiment.recorded.is_file() else None
    seconds = _seconds(out / f"{experiment.name}.json") + (_processor_seconds() - began if has_worked else 0.0)
    return Reproduced(verdict, picture, results.used(), seconds, differences)


def _processor_seconds() -> float:
    """The processor time of this process and of those that it waited for, on all cores."""
    return sum(os.times()[:4])


def _seconds(path: Path) -> float:
    """The seconds that earlier calls took."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _kept_at(experiment: Experiment, directory: Path) -> Path:
    return directory.with_name(f"{experiment.name}.measured.parquet")


def _kept(experiment: Experiment, directory: Path) -> pd.DataFrame | None:
    """What `measure(results)` returned in an earlier call, as long as neither the file nor the sweep's results changed."""
    kept = _kept_at(experiment, directory)
    sources = [experiment.file, directory / "results"]
    if not callable(getattr(experiment.module, "measure", None)) or not kept.is_file():
        return None
    is_new = all(kept.stat().st_mtime > path.stat().st_mtime for path in sources if path.exists())
    return pd.read_parquet(kept) if is_new else None


def _measured(experiment: Experiment, directory: Path) -> pd.DataFrame | None:
    """What `measure(results)` returns; None without one."""
    if not callable(getattr(experiment.module, "measure", None)):
        return None
    table = _called(experiment, "measure", Results(directory))
    if not isinstance(table, pd.DataFrame) or table.empty:
        kind = type(table).__name__
        raise RequestError(f"measure(results) of {experiment.file} returned {kind}: return a pandas table with rows")

    table.attrs = {}  # a table made of `results.runs` has what rankings read of it, which can be larger than the table
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_bytes(_kept_at(experiment, directory), buffer.getvalue())
    return table


def _called(experiment: Experiment, name: str, results: Results) -> Any:
    function: Callable[[Results], Any] = getattr(experiment.module, name)
    try:
        return function(results)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            f"{name}(results) of {experiment.file} raises {type(error).__name__}: {error} (--traceback shows where)"
        ) from error


def as_png(figure: Any, experiment: Experiment) -> bytes:
    """A matplotlib figure as a PNG of at most 150 kB.

    Raises RequestError for anything else, and for a picture that is larger at the lowest resolution.
    """
    if not hasattr(figure, "savefig"):
        raise RequestError(
            f"figure(results) of {experiment.file} returned {type(figure).__name__}: return a matplotlib figure"
        )
    for dots in SIZES:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dots, metadata={"Software": None})
        if buffer.tell() <= LARGEST:
            return buffer.getvalue()
    raise RequestError(
        f"the picture of {experiment.file} has {buffer.tell() / 1e3:.0f} kB at {dots} dots per inch: draw less"
    )


def write(found: Reproduced, out: Path, name: str) -> None:
    """Write the verdict and the picture into the folder of what was reproduced."""
    _write(found, out / f"{name}.json", {"seconds": found.seconds})


def record(experiment: Experiment, found: Reproduced) -> None:
    """Write the verdict, the picture and their tables beside the experiment, with the date and what made them.

    Raises RequestError for a table that is too large, before anything is written.
    """
    experiment.recorded.parent.mkdir(exist_ok=True)
    made = {
        "seconds": round(found.seconds, 1),
        "date": datetime.date.today().isoformat(),
        "by": f"lanes {importlib.metadata.version('lanes')}, jax {jax.__version__}, {os.cpu_count()} cores, {platform.machine()}",
    }
    if (device := jax.devices()[0]).platform != "cpu":
        made["beside"] = device.device_kind
    tables = {name: _compressed(table, name, experiment) for name, table in found.tables.items()}
    _write(found, experiment.recorded, made)
    for name, path in tables_of(experiment.recorded).items():
        if name in tables:
            write_bytes(path, tables[name])
        else:
            path.unlink(missing_ok=True)


def _compressed(table: pd.DataFrame, name: str, experiment: Experiment) -> bytes:
    """A table as Parquet of at most 150 kB, without the columns that are empty. Raises RequestError for a larger one."""
    told, buffer = table.dropna(axis="columns", how="all"), io.BytesIO()
    told.attrs = {}  # what rankings read of it
    told.to_parquet(buffer, index=False, compression="zstd", write_statistics=False)
    if buffer.tell() > LARGEST:
        size = f"{buffer.tell() / 1e3:.0f} kB"
        raise RequestError(f"the table {name!r} of {experiment.file} has {size}: measure less, or fewer rows")
    return buffer.getvalue()


def tables_of(recorded: Path) -> dict[str, Path]:
    """Where the tables are recorded that a verdict and its picture were made of."""
    return {name: recorded.with_suffix(f".{name}.parquet") for name in TABLES}


def recorded_results(experiment: Experiment) -> Results:
    """The recorded results, of which `verdict` and `figure` make again what is recorded, without training.

    Raises RequestError if nothing is recorded.
    """
    found = {name: pd.read_parquet(path) for name, path in tables_of(experiment.recorded).items() if path.is_file()}
    if not found:
        raise RequestError(
            f"nothing is recorded for {experiment.name}: lanes reproduce {experiment.name} --record does"
        )
    return Results(experiment.recorded.with_suffix(""), **found)


def _write(found: Reproduced, path: Path, made: dict[str, Any]) -> None:
    document = {**as_json(found.verdict), **made}
    write_bytes(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    if found.picture is not None:
        write_bytes(path.with_suffix(".png"), found.picture)


def read_record(path: Path) -> Verdict:
    """A recorded verdict.

    Raises RequestError for a file that is none.
    """
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RequestError(f"recorded verdict {path} cannot be read ({error}): record it again with --record") from None


# ---- what a docstring says ------------------------------------------------------------------------------------------


def question(module: Any) -> str:
    """The first paragraph of an experiment's docstring."""
    return " ".join((module.__doc__ or "").strip().split("\n\n")[0].split())


def stated(module: Any, label: str) -> str:
    """What a line `Source: …` or `Published: …` of an experiment's docstring says, to the end of its paragraph; "" without it."""
    found = re.search(rf"^{label}: (.+?)(?:\n\n|\n[A-Z]\w+: |\Z)", module.__doc__ or "", re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""
