"""Diagnoses of trained runs from their checkpoints, as tables of numbers.

A diagnosis is a function of subjects (`lanes.results.subjects.Subject`: nets, parameters, examples) that returns tables by
name, each with a column `run_id`. To add one, write its computation in `lanes/analysis/` as a function of a net and arrays,
the function that tabulates it here or in a file beside, name it in DIAGNOSES, and its picture in
`lanes.reporting.diagnosis_pictures.PICTURES`.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.errors import RequestError, unknown
from lanes.files import make_folder, write_bytes
from lanes.program.places import prepare_devices
from lanes.results import (
    diagnosis_activations,
    diagnosis_codes,
    diagnosis_inputs,
    diagnosis_landscapes,
    diagnosis_norms,
    diagnosis_regions,
)
from lanes.results.axes import field_columns
from lanes.results.selection import select_runs
from lanes.results.subjects import SPLITS, Subject, subjects_of
from lanes.results.tables import load
from lanes.results.versions import LEFT_OUT
from lanes.storage.directory import existing

Tables = dict[str, pd.DataFrame]
Diagnosis = Callable[[Sequence[Subject]], Tables]

DIAGNOSES: dict[str, Diagnosis] = {
    "activations": diagnosis_activations.activations,
    "interpolation": diagnosis_landscapes.interpolation,
    "landscape": diagnosis_landscapes.landscape,
    "filters": diagnosis_inputs.filters,
    "maximized_inputs": diagnosis_inputs.maximized_inputs,
    "saliency": diagnosis_inputs.saliency,
    "reconstructions": diagnosis_codes.reconstructions,
    "traversals": diagnosis_codes.traversals,
    "latent_map": diagnosis_codes.latent_map,
    "decision_regions": diagnosis_regions.decision_regions,
    "gradients": diagnosis_norms.gradients,
    "noise": diagnosis_norms.noise,
    "curvature": diagnosis_norms.curvature,
    "rank": diagnosis_norms.rank,
    "jacobian": diagnosis_norms.jacobian,
}
DEFAULT = ("activations", "gradients")
EXAMPLES = 512


@dataclasses.dataclass(frozen=True)
class Request:
    """What is diagnosed, and on what.

    Attributes:
        what: names in DIAGNOSES.
        epoch: "best" or "last".
        split: of the examples: "train", "valid" or "test".
        examples: how many, drawn from the split from a fixed seed.
        layer: keep only this layer's rows; None keeps all.
        data_dir: where prepared TFDS sets are.
        trust: False refuses to execute the directory's copy of the experiment, which is code.
    """

    what: tuple[str, ...] = DEFAULT
    epoch: str = "best"
    split: str = "train"
    examples: int = EXAMPLES
    layer: str | None = None
    data_dir: str | None = None
    trust: bool = True

    def check(self) -> None:
        """Raise RequestError for a value out of range."""
        if not self.what:
            raise RequestError(f"--what is empty: name some of {', '.join(DIAGNOSES)}")
        for name in self.what:
            if name not in DIAGNOSES:
                raise unknown("diagnosis", name, DIAGNOSES)
        if self.epoch not in ("best", "last"):
            raise RequestError(f"--epoch is {self.epoch!r}: only the best and the last are kept; choose best or last")
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.examples < 1:
            raise RequestError(f"--examples is {self.examples}: the number of examples must be at least 1")


def diagnose(
    directory: str | os.PathLike[str],
    what: str | Sequence[str] = DEFAULT,
    *,
    run_ids: Sequence[str] = (),
    best: int | None = None,
    where: Sequence[str] = (),
    metric: str | None = None,
    **request: Any,
) -> Tables:
    """Restore runs from their checkpoints and diagnose them.

    Args:
        directory: of the sweep.
        what: names in DIAGNOSES.
        run_ids: identities or prefixes of them; none is all ended runs.
        best: number of best combinations, ranked by the metric's mean over seeds, whose runs to diagnose.
        where: `FIELD=VALUE` conditions, alternatives joined by `|`; `best` then ranks the matching runs only.
        metric: ranks the combinations; by default validation accuracy if there is one, else validation loss.
        request: fields of `Request`: epoch, split, examples, layer, data_dir, trust.

    Returns tables by name, in the order of `what`. Their first column is `run_id`, their last are the runs' fields.

    Raises RequestError if the request cannot be met.
    """
    requested = Request(what=(what,) if isinstance(what, str) else tuple(dict.fromkeys(what)), **request)
    requested.check()
    prepare_devices()
    (opened,) = existing([directory])
    table = select_runs(opened, load(directory), tuple(run_ids), best, tuple(where), metric)
    subjects = subjects_of(
        opened, table, requested.epoch, requested.split, requested.examples, requested.data_dir, requested.trust
    )
    fields = table[["run_id", *field_columns(table)]]
    out: Tables = {}
    for name in requested.what:
        for title, found in _of_layer(DIAGNOSES[name](subjects), requested.layer).items():
            assert set(found) & set(fields) == {"run_id"}, (
                f"{title}: columns of a diagnosis must not be named as a run's fields"
            )
            out[title] = found.merge(fields, on="run_id", how="left", validate="many_to_one")
            out[title].attrs = {LEFT_OUT: table.attrs.get(LEFT_OUT)}
    return out


def _of_layer(tables: Tables, layer: str | None) -> Tables:
    """The rows of one layer, in those tables that have layers. Raises RequestError for a layer that none of them has."""
    layered = [table for table in tables.values() if "layer" in table]
    if layer is None or not layered:
        return tables
    known = [str(name) for name in dict.fromkeys(name for table in layered for name in table["layer"])]
    if layer not in known:
        raise unknown("--layer", layer, known)
    return {
        name: table[table["layer"] == layer].reset_index(drop=True) if "layer" in table else table
        for name, table in tables.items()
    }


def check_folder(folder: Path) -> None:
    """Raise RequestError, before the work, for an output folder that is a file."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"--out is {folder}, which is a file: choose another folder")


def write_tables(tables: Tables, folder: Path) -> list[Path]:
    """Write each table as FOLDER/NAME.parquet, in place of an earlier one; return the files.

    Raises RequestError if the folder cannot be written.
    """
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.parquet")
        write_file(paths[-1], table.to_parquet(index=False))
    return paths


def write_file(path: Path, content: bytes) -> None:
    """Write a file of a folder that is made if it does not exist. Raises RequestError if that fails."""
    try:
        make_folder(path.parent.absolute(), path.parent.parent.absolute())
        write_bytes(path, content)
    except OSError as error:
        raise RequestError(f"--out {path.parent} cannot be written ({error.strerror}): choose another folder") from None
