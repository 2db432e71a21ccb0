"""Evaluate trained runs from a sweep's checkpoints: any split, another data set, their mean prediction, MC dropout."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from lanes.cli.command import run_command
from lanes.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Evaluate trained runs from a sweep's checkpoints: any split, another data set, their mean prediction, MC dropout.

    All runs that have ended are evaluated, or those that --run, --best or --where choose.
    """

    directory: tyro.conf.Positional[Path]
    """What a sweep wrote (its --out)."""
    run: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """run_ids, or unambiguous beginnings of them."""
    best: int | None = None
    """The runs of so many best combinations by --metric; seeds are replicates. With --where, the best among those."""
    where: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: the runs that match; several values are joined by |."""
    metric: str | None = None
    """What ranks; validation accuracy where there is one, else validation loss."""
    epoch: str = "best"
    """Parameters of the best epoch by validation loss, or of the last."""
    data: str | None = None
    """Another data set of the same shapes; each run's own."""
    split: str = "test"
    """train, valid or test."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    ensemble: bool = False
    """Also the mean prediction (of probabilities, where the net gives them) of the runs, beside the mean run."""
    mc_dropout: int | None = None
    """Mean prediction of so many passes with dropout on."""
    batch_statistics: str = "running"
    """Of batch normalization: running, or recomputed on the whole training split."""
    prune: tuple[float, ...] = ()
    """Sparsities, such as 0.5 0.9: also with that share of the kernels' weights, the smallest, at zero."""
    out: Path | None = None
    """Also write the table, with every field: FILE.csv or FILE.parquet."""
    traceback: bool = False
    """Show where an error came from."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 evaluated; 2 (raised as a RequestError) for whatever is wrong with the request."""
    if arguments.out is not None and arguments.out.suffix not in (".csv", ".parquet"):
        raise RequestError(f"--out is {arguments.out}: the file must end in .csv or .parquet")
    from lanes.results.evaluation import evaluate
    from lanes.results.printed_evaluation import print_evaluation

    table = evaluate(
        arguments.directory,
        run_ids=[name for group in arguments.run for name in group],
        where=[text for group in arguments.where for text in group],
        **{
            name: getattr(arguments, name)
            for name in ("best", "metric", "epoch", "data", "split", "data_dir", "ensemble", "mc_dropout", "prune")
        },
        batch_statistics=arguments.batch_statistics,
    )
    print_evaluation(table, arguments.metric)
    if arguments.out is not None:
        _write(table, arguments.out)
    return 0


def _write(table: "pd.DataFrame", path: Path) -> None:
    try:
        if path.suffix == ".csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise RequestError(f"--out {path} cannot be written ({error.strerror}): choose another file") from None
    print(f"table: {path}")


def run(words: Sequence[str]) -> int:
    """The command as typed after its name; its exit status."""
    return run_command(main, Arguments, words, "lanes evaluate")
