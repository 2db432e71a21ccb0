"""Evaluate trained runs from a sweep's checkpoints: any split, another data set, their mean prediction, MC dropout."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.errors import RequestError, printable, say, warn

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Evaluate trained runs from a sweep's checkpoints: any split, another data set, their mean prediction, MC dropout.

    Evaluates all finished runs, or those selected by --run, --best or --where.
    """

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    run: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Run ids, or unambiguous prefixes of them."""
    best: int | None = None
    """Evaluate the best N combinations by --metric, with all their seeds; with --where, the best of the matching runs."""
    where: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: evaluate matching runs; join alternative values with |."""
    metric: str | None = None
    """Metric to rank by; the default is what the runs monitor, else validation accuracy if there is one, else validation loss."""
    epoch: str = "best"
    """best or last: the parameters of the best epoch by what the run monitors (the validation loss), or of the last epoch."""
    data: str | None = None
    """Another data set of the same shapes; the default is each run's own."""
    split: str = "test"
    """train, valid or test."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    ensemble: bool = False
    """Also evaluate the runs' mean prediction (of probabilities, if the net predicts them), next to the mean of their metrics."""
    mc_dropout: int | None = None
    """Average the predictions of this many passes with dropout on."""
    batch_statistics: str = "running"
    """running or recomputed: batch normalization's running statistics, or those of the whole training split."""
    prune: tuple[float, ...] = ()
    """Sparsities, such as 0.5 0.9: also evaluate with that share of the kernel weights, the smallest, set to zero."""
    out: Path | None = None
    """Also write the table, with every field: FILE.csv or FILE.parquet."""
    json: bool = False
    """Print the table, with every field, as one JSON document."""
    no_code: bool = False
    """Refuse runs that need the directory's copy of the experiment, which is code."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 evaluated; 2 (raised as a RequestError) for an invalid request."""
    if arguments.out is not None and arguments.out.suffix not in (".csv", ".parquet"):
        raise RequestError(f"--out is {arguments.out}: the file must end in .csv or .parquet")
    from lanes.results.documents import rows
    from lanes.results.evaluation import evaluate
    from lanes.results.printed_evaluation import print_evaluation
    from lanes.results.versions import LEFT_OUT

    table = evaluate(
        arguments.directory,
        run_ids=[name for group in arguments.run for name in group],
        where=[text for group in arguments.where for text in group],
        **{
            name: getattr(arguments, name)
            for name in ("best", "metric", "epoch", "data", "split", "data_dir", "ensemble", "mc_dropout", "prune")
        },
        batch_statistics=arguments.batch_statistics,
        trust=not arguments.no_code,
    )
    if arguments.json:
        say_json({"runs": rows(table), "notes": [note] if (note := table.attrs.get(LEFT_OUT)) else []})
    else:
        print_evaluation(table, arguments.metric)
        if table.attrs.get(LEFT_OUT):
            say(f"note: {table.attrs[LEFT_OUT]}")
    if arguments.out is not None:
        _write(table, arguments.out)
        (warn if arguments.json else say)(f"table: {arguments.out}")
    return 0


def _write(table: "pd.DataFrame", path: Path) -> None:
    try:
        if path.suffix == ".csv":
            table.rename(columns=_as_text).map(_as_text).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise RequestError(f"--out {path} cannot be written ({error.strerror}): choose another file") from None


def _as_text(cell: Any) -> Any:
    """A text with control characters as escapes and, where a spreadsheet would run it as a formula, an apostrophe before it."""
    if not isinstance(cell, str):
        return cell
    return printable(f"'{cell}" if cell.lstrip().startswith(("=", "+", "-", "@")) else cell)


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes evaluate")
