"""Diagnose trained runs from a sweep's checkpoints: activations, gradients and more, as tables and pictures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from lanes.cli.command import run_command
from lanes.cli.json_output import say_json
from lanes.errors import ExitStatus, say, warn


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Diagnose trained runs from a sweep's checkpoints: activations, gradients and more, as tables and pictures.

    Diagnoses all finished runs, or those selected by --run, --best or --where. Writes a Parquet file for each table and a PNG
    and an SVG for each picture, in place of earlier ones.
    """

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    run: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Run ids, or unambiguous prefixes of them."""
    best: int | None = None
    """Diagnose the best N combinations by --metric, with all their seeds; with --where, the best of the matching runs."""
    where: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """FIELD=VALUE: diagnose matching runs; join alternative values with |."""
    metric: str | None = None
    """Metric to rank by; the default is what the runs monitor, else validation accuracy if there is one, else validation loss."""
    what: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Diagnoses, by name; the default is activations gradients. Others: noise, rank, jacobian, curvature, interpolation,
    landscape, filters, maximized_inputs, saliency, reconstructions, traversals, latent_map, decision_regions."""
    epoch: str = "best"
    """best or last: the parameters of the best epoch by what the run monitors (the validation loss), or of the last epoch."""
    split: str = "train"
    """train, valid or test: where the examples are from."""
    examples: int = 512
    """Number of examples, drawn from the split from a fixed seed, the same for all runs; all of them if there are fewer."""
    layer: str | None = None
    """Keep only this layer, by its name in the tables."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    out: Path | None = None
    """Folder of tables and pictures; the default is DIR/diagnoses, which `lanes report` shows."""
    json: bool = False
    """Print the tables as one JSON document."""
    no_code: bool = False
    """Refuse runs that need the directory's copy of the experiment, which is code."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 diagnosed; 2 (raised as a RequestError) for an invalid request."""
    from lanes.reporting.diagnosis_pictures import note, write_pictures
    from lanes.results.diagnosis import DEFAULT, check_folder, diagnose, write_tables
    from lanes.results.documents import rows
    from lanes.results.versions import LEFT_OUT
    from lanes.storage.directory import DIAGNOSES

    what = tuple(dict.fromkeys(name for group in arguments.what for name in group)) or DEFAULT
    folder = arguments.out or arguments.directory / DIAGNOSES
    check_folder(folder)
    tables = diagnose(
        arguments.directory,
        what,
        run_ids=[name for group in arguments.run for name in group],
        where=[text for group in arguments.where for text in group],
        **{
            name: getattr(arguments, name)
            for name in ("best", "metric", "epoch", "split", "examples", "layer", "data_dir")
        },
        trust=not arguments.no_code,
    )
    files = [*write_tables(tables, folder), *write_pictures(what, tables, folder)]
    left_out = next((table.attrs.get(LEFT_OUT) for table in tables.values()), None)
    notes = [text for text in (left_out, note(tables)) if text]
    if arguments.json:
        say_json({"tables": {name: rows(table) for name, table in tables.items()}, "files": files, "notes": notes})
    for text in notes:
        (warn if arguments.json else say)(f"note: {text}")
    for path in files:
        (warn if arguments.json else say)(f"wrote {path}")
    return ExitStatus.DONE


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes diagnose")
