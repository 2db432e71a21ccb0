"""Evaluate trained runs from a sweep's checkpoints: any split or data, attacks and corruptions, ensembles, predictions."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.errors import RequestError, say, warn
from lanes.files import check_writable

if TYPE_CHECKING:
    import pandas as pd

    from lanes.results.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Evaluate trained runs from a sweep's checkpoints: any split or data, attacks and corruptions, ensembles, predictions.

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
    """Another data set of the same shapes: a name, or a function as FILE.py:NAME or experiment:NAME (of the directory's copy);
    the default is each run's own."""
    split: str = "test"
    """train, valid, test, or all examples."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    confusion: bool = False
    """Also print the confusion matrix and a table of each class's precision, recall and F1."""
    calibration: bool = False
    """Also print the expected calibration error, the Brier score and the reliability of 15 bins of confidence."""
    measure: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Further metrics of the split: auroc, balanced_accuracy, macro_f1, top_3, …, or TAKES=FUNCTION, called with the targets
    and the predicted classes=, probabilities=, positive= (of class 1 of two) or predictions=, such as
    classes=sklearn.metrics:cohen_kappa_score, probabilities=FILE.py:NAME or predictions=experiment:NAME."""
    predictions: Path | None = None
    """Also write what each run predicts for each example: FILE.parquet."""
    attack: str | None = None
    """fgsm or pgd: also evaluate inputs that each run's own gradient has moved by at most --epsilon."""
    epsilon: tuple[float, ...] = ()
    """Largest changes of an input, one or several."""
    epsilon_in: str = "raw"
    """raw: units of the inputs as the data set has them, grey levels of images; or deviations: standard deviations."""
    target_class: str | None = None
    """The class that an attack aims at, or least_likely; the default is any wrong one."""
    attack_steps: int | None = None
    """Steps of pgd; the default is 10."""
    step_size: float | None = None
    """Step of pgd, in units of --epsilon; the default is 2.5 epsilon / steps."""
    bounds: tuple[float, float] | None = None
    """Smallest and largest input of an attack, raw; the default is the range of the training and the evaluated split."""
    corrupt: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """NAME=STRENGTH: also evaluate inputs changed by an augmentation, such as noise=0.2, rotate=15 or affine.shear=0.3, on
    the scale of training (standardized)."""
    ensemble: bool = False
    """Also evaluate the runs' mean prediction (of probabilities, if the net predicts them), next to the mean of their metrics."""
    mc_dropout: int | None = None
    """Average the predictions of this many passes with dropout on."""
    batch_statistics: str = "running"
    """running or recomputed: batch normalization's running statistics, or those of the whole training split."""
    prune: tuple[float, ...] = ()
    """Sparsities, such as 0.5 0.9: also evaluate with that share of the kernel weights, the smallest, set to zero."""
    out: Path | None = None
    """Also write the table, with every field: FILE.csv or FILE.parquet; tables of --confusion and --calibration beside it."""
    json: bool = False
    """Print the table, with every field, as one JSON document."""
    no_code: bool = False
    """Refuse runs that need the directory's copy of the experiment, which is code."""
    traceback: bool = False
    """Show the traceback of an error."""


PASSED = (
    *("best", "metric", "epoch", "data", "split", "data_dir", "confusion", "calibration", "predictions"),
    *("attack", "epsilon", "epsilon_in", "target_class", "attack_steps", "step_size", "bounds"),
    *("ensemble", "mc_dropout", "batch_statistics", "prune"),
)  # arguments of `evaluation` by the same name
LONG = ("confusion", "classes", "calibration")  # tables of an evaluation besides its runs


def main(arguments: Arguments) -> int:
    """The exit status: 0 evaluated; 2 (raised as a RequestError) for an invalid request."""
    if arguments.out is not None:
        check_writable(arguments.out, "--out", (".csv", ".parquet"))
    from lanes.results.documents import rows
    from lanes.results.evaluation import evaluation
    from lanes.results.printed_evaluation import print_evaluation

    found = evaluation(
        arguments.directory,
        run_ids=_words(arguments.run),
        where=_words(arguments.where),
        measure=_words(arguments.measure),
        corrupt=_words(arguments.corrupt),
        trust=not arguments.no_code,
        **{name: getattr(arguments, name) for name in PASSED},
    )
    if arguments.json:
        further = {name: rows(table) for name in LONG if (table := getattr(found, name)) is not None}
        say_json({"runs": rows(found.runs), **further, "notes": list(found.notes)})
    else:
        print_evaluation(found, arguments.metric)
        for note in found.notes:
            say(f"note: {note}")
    told = warn if arguments.json else say
    if arguments.predictions is not None:
        told(f"predictions: {arguments.predictions}")
    if arguments.out is not None:
        for path in _write(found, arguments.out):
            told(f"table: {path}")
    return 0


def _words(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(word for group in groups for word in group)


def _write(found: "Evaluation", path: Path) -> list[Path]:
    """Write the table and, beside it, those of confusion and calibration; returns their paths."""
    written = []
    for name in ("runs", *LONG):
        table: pd.DataFrame | None = getattr(found, name)
        if table is not None:
            written.append(path if name == "runs" else path.with_name(f"{path.stem}.{name}{path.suffix}"))
            _write_one(table, written[-1])
    return written


def _write_one(table: "pd.DataFrame", path: Path) -> None:
    from lanes.reporting.table_formats import spreadsheet_text

    try:
        if path.suffix == ".csv":
            table.rename(columns=spreadsheet_text).map(spreadsheet_text).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise RequestError(f"--out {path} cannot be written ({error.strerror}): choose another file") from None


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes evaluate")
