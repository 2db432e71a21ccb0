"""Train one run: every field of `Run` is an option; dotted options reach into descriptions (`--net.widths 128,128`)."""

import dataclasses
import inspect
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import pandas as pd
import tyro
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from lanes.cli.command import run_command, typed
from lanes.describe import runs
from lanes.describe.runs import FIELDS, TABLES, Run
from lanes.errors import ExitStatus, RequestError, printable, say, warn

if TYPE_CHECKING:
    from lanes.storage.directory import Directory

LAST = 5  # epochs of the curve to print


class Default(str):
    """The default of an option; the type tells it from the same text on the command line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Train one run, as a sweep of one lane with a directory of its own.

    Options with a dot reach into descriptions: --net.widths 128,128 --optimizer.b1 0.95. Repeat the command to resume.
    """

    out: Path
    """Directory for results, curves and checkpoints."""
    run: str | None = None
    """DIR:ID: repeat a run of a sweep, at its width and by its program; other options override the run's fields."""
    set: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: the same as --FIELD VALUE."""
    width: int | None = None
    """Lanes computed at once; the default is 1, or with --run the sweep's own. The last digits depend on it."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    no_code: bool = False
    """With --run: refuse a run that needs its directory's copy of the experiment, which is code."""
    max_seconds: float | None = None
    """Save and stop after this many seconds (exit status 75), once a first chunk has been trained."""
    traceback: bool = False
    """Show the traceback of an error."""


def documentation(cls: type) -> dict[str, str]:
    """Each field's text from the Attributes section of a class's docstring."""
    section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]  # `python -OO` drops docstrings
    texts: dict[str, str] = {}
    for names, text in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section, flags=re.MULTILINE):
        texts |= {name.strip(): " ".join(text.split()) for name in names.split(",")}
    return texts


def _option(name: str, text: str) -> tuple[str, Any, Any]:
    """The option for a field of Run: text, parsed like `--set`; its help shows the field's type and the names it takes."""
    field = FIELDS[name]
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    metavar = "NAME" if name in TABLES else kind.replace(" | ", "|").upper().replace("NONE", "None")
    if name in TABLES:
        text += f" Names: {', '.join(TABLES[name])}."
    default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
    annotation = Annotated[str, tyro.conf.arg(metavar=metavar, help=text)]
    return name, annotation, dataclasses.field(default=Default(default))


def _arguments() -> type:
    texts = documentation(Run)
    options = [_option(name, texts.get(name, "")) for name in FIELDS]
    cls = dataclasses.make_dataclass("Arguments", options, bases=(Options,), frozen=True, kw_only=True)
    cls.__doc__ = Options.__doc__
    return cls


Arguments: Any = _arguments()


def main(arguments: Any) -> int:
    """The exit status: 0 the run has ended, 2 wrong request, 3 it failed, 75 stopped early, everything saved."""
    from lanes.engine.options import Options as SweepOptions
    from lanes.engine.requests import in_program, make_plan
    from lanes.engine.runner import run_sweep
    from lanes.program.places import prepare_devices
    from lanes.storage import data_records

    run, repeated = Run(), None
    if arguments.run is not None:
        repeated = _of_sweep(arguments.run, trust=not arguments.no_code)
        run = repeated.run
    typed_fields = {name: value for name in FIELDS if not isinstance(value := getattr(arguments, name), Default)}
    settings = [*typed_fields.items(), *(_assignment(text) for group in arguments.set for text in group)]
    for path, text in settings:
        run = runs.set_field(run, path, runs.parse_field(run, path, text))
    options = SweepOptions(
        width=arguments.width if arguments.width is not None else 1 if repeated is None else repeated.width,
        devices=1,
        max_seconds=arguments.max_seconds,
        data_dir=arguments.data_dir,
    )
    prepare_devices()
    plan = make_plan([run], options)
    if repeated is not None:
        data_records.check(repeated.directory, [plan.planned[0].data])
        plan = in_program(plan, repeated.program)
    experiment = None if repeated is None else repeated.experiment
    outcome = run_sweep(plan, arguments.out, options, experiment=experiment, command=sys.argv)
    for line in outcome.failures:
        warn(f"error: {line}")
    say(outcome.summary(arguments.out))
    if outcome.status == ExitStatus.STOPPED:
        say(f"resume with: {typed()}")
    elif outcome.ended:
        _print_run(arguments.out, plan.planned[0].run_id)
    return outcome.status


class _Repeated(NamedTuple):
    """A run of a sweep: the width and the program that it was trained by, its experiment file, the sweep's directory."""

    run: Run
    width: int
    program: str | None
    experiment: Path | None
    directory: "Directory"


def _of_sweep(text: str, trust: bool) -> _Repeated:
    """The run named by `DIR:ID`."""
    from lanes.results.tables import load
    from lanes.storage.directory import existing
    from lanes.storage.trained import find_run, run_of

    path, colon, run_id = text.rpartition(":")
    if not colon or not path or not run_id:
        raise RequestError(f"--run is {text!r}: it must be DIR:ID, a sweep's --out and one of its run ids")
    (directory,) = existing([path])
    row = find_run(directory, run_id)
    mapping = load(path).set_index("run_id").loc[row["run_id"]].get("mapping")
    if isinstance(mapping, str) and mapping != "local":
        say(f"note: {text} was trained with mapping {mapping}, here it is local: the last digits may differ")
    source = row.get("experiment")
    experiment = directory.path / Path(source).name if isinstance(source, str) else None
    width, program = int(row["pack_shape"].split(",")[0]), row.get("program")
    return _Repeated(
        run_of(directory, row, trust), width, None if _is_missing(program) else program, experiment, directory
    )


def _assignment(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--set got {text!r}: write FIELD=VALUE")
    return path.strip(), value


def _print_run(out: Path, run_id: str) -> None:
    """Print the end of the curve and the row of results."""
    from lanes.results.axes import field_columns
    from lanes.results.statistics import COMPARABLE
    from lanes.results.tables import load, load_curves
    from lanes.storage import data_records

    console = Console()
    curves = load_curves(out)
    last = curves[curves["run_id"] == run_id].drop(columns="run_id").tail(LAST)
    console.print(_table(list(last.columns), last.itertuples(index=False)))
    table = load(out).set_index("run_id", drop=False)
    hidden = {
        *field_columns(table),
        "pack",
        "lane",
        "pack_shape",
        "program",
        "experiment",
        COMPARABLE,
        *data_records.COLUMNS,
    }
    row = {str(name): value for name, value in table.loc[run_id].items() if name not in hidden}
    console.print(_table(["", ""], [item for item in row.items() if not _is_missing(item[1])]))


def _table(columns: list[str], rows: Any) -> Table:
    table = Table(
        *(Column(Text(printable(name))) for name in columns), box=None, pad_edge=False, show_header=any(columns)
    )
    for row in rows:
        table.add_row(*(Text(printable(f"{cell:.6g}" if isinstance(cell, float) else str(cell))) for cell in row))
    return table


def _is_missing(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def with_dotted(command_line: Sequence[str]) -> list[str]:
    """The command line with `--net.widths VALUE` and `--net.widths=VALUE` as `--set net.widths=VALUE`."""
    rewritten, rest = [], iter(command_line)
    for text in rest:
        name, equals, value = text.partition("=")
        if re.fullmatch(r"--[A-Za-z_-]+\.[\w.-]+", name):
            path = name[2:].replace("-", "_")
            rewritten += ["--set", f"{path}={value if equals else next(rest, '')}"]
        else:
            rewritten.append(text)
    return rewritten


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, with_dotted(words), "lanes train")
