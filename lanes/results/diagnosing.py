"""Diagnoses while a sweep trains: a callback that notes statistics of layers at the ends of epochs."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pandas as pd

from lanes.engine.callbacks import Reached
from lanes.errors import RequestError, unknown
from lanes.files import make_folder, write_bytes
from lanes.program import shared_widths
from lanes.results import diagnosis_activations, diagnosis_norms
from lanes.results.subjects import SPLITS, Programs, Subject, Subjects, over_runs
from lanes.storage.directory import DIAGNOSES

NOTED = ("mean", "std", "saturated", "dead")  # of activations
Rows = list[dict[str, Any]]


class Diagnose:
    """A callback that writes how each layer's statistics change: `CALLBACKS = [lanes.Diagnose("activations", every=5)]`.

    Writes `DIR/diagnoses/training_activations/PACK.parquet` (a row per run, epoch and layer: mean, standard deviation,
    saturated and dead shares) and `training_gradients/PACK.parquet` (a row per run, epoch and array of parameters: norms of the
    weights and of the gradient), as `lanes diagnose` measures them; `pandas.read_parquet` of the folder reads all packs. After
    a stop the sweep's command goes on with them.

    It changes no run_id and no number. Each call costs one pass over the examples, for gradients two and for activations about
    two, for each run; parameters are copied to the host, and a chunk ends, and is saved, every `every` epochs.

    Args:
        what: "activations", "gradients" or both; without any, both.
        every: epochs between two diagnoses; a run's last epoch is diagnosed too.
        examples: how many, drawn from the split from a fixed seed.
        split: "train", "valid" or "test".

    Raises RequestError for another name, and numbers below 1.
    """

    def __init__(self, *what: str, every: int = 1, examples: int = 256, split: str = "train"):
        for name in what:
            if name not in WRITTEN:
                raise unknown("diagnosis during training", name, WRITTEN)
        for name, value in (("every", every), ("examples", examples)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RequestError(f"Diagnose: {name} is {value!r}: it must be a whole number, at least 1")
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        self.what = what or tuple(WRITTEN)
        self.called_every = every
        self._subjects = Subjects(split, examples)
        self._programs: dict[str, Programs] = {name: Programs(WRITTEN[name][0]) for name in self.what}
        self._tables: dict[tuple[str, str], pd.DataFrame] = {}  # by diagnosis and pack

    def __call__(self, reached: Reached) -> None:
        """Diagnose the runs that are at the end of such an epoch, and those that have ended."""
        known = {name: self._table(reached, name) for name in self.what}
        due = [at for at, run_id in enumerate(reached.runs) if self._is_due(reached, at, run_id)]
        if not due or reached.data is None:
            return
        ids = list(reached.runs)
        subjects = []
        for at in due:
            variables = jax.tree.map(lambda leaf, at=at: leaf[at], dict(reached.variables))
            run = reached.runs[ids[at]]
            if shared_widths.may_share(run):  # its program's net may be wider
                variables["params"] = shared_widths.own_part(variables["params"], run.net.widths)
            subjects.append(self._subjects.of(ids[at], run, reached.data, variables))
        epochs = {ids[at]: int(reached.epochs[at]) for at in due}
        for name in self.what:
            found = over_runs(self._programs[name], subjects)
            rows = [row for s, each in zip(subjects, found, strict=True) for row in WRITTEN[name][1](s, each)]
            new = pd.DataFrame([{"run_id": row["run_id"], "epoch": epochs[row["run_id"]], **row} for row in rows])
            joined = pd.concat([known[name], new], ignore_index=True) if len(known[name]) else new
            self._tables[name, reached.pack] = joined
            _write(joined, _file(reached, name), reached.directory)

    def _is_due(self, reached: Reached, at: int, run_id: str) -> bool:
        epoch = int(reached.epochs[at])
        ended = reached.status[run_id] != "running"
        table = self._table(reached, self.what[-1])
        written = len(table) > 0 and bool(((table["run_id"] == run_id) & (table["epoch"] == epoch)).any())
        return epoch > 0 and not written and (ended or epoch % self.called_every == 0)

    def _table(self, reached: Reached, name: str) -> pd.DataFrame:
        """What is written already of a pack, by an earlier call too."""
        key = name, reached.pack
        if key not in self._tables:
            path = _file(reached, name)
            try:
                self._tables[key] = pd.read_parquet(path) if path.is_file() else pd.DataFrame()
            except (OSError, ValueError):  # damaged: its epochs are lost
                self._tables[key] = pd.DataFrame()
        return self._tables[key]


def _file(reached: Reached, name: str) -> Path:
    return reached.directory / DIAGNOSES / f"training_{name}" / f"{reached.pack}.parquet"


def _write(table: pd.DataFrame, path: Path, directory: Path) -> None:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    make_folder(path.parent, directory)
    write_bytes(path, buffer.getvalue())


def _of_activations(subject: Subject, found: Any) -> Rows:
    return [
        {name: row[name] for name in ("run_id", "depth", "layer", *NOTED)}
        for row in diagnosis_activations.rows_of(subject, found)
    ]


def _of_gradients(subject: Subject, found: Any) -> Rows:
    return [
        {name: row[name] for name in ("run_id", "layer", "parameter", "weight_norm", "gradient_norm")}
        for row in diagnosis_norms.rows_of(subject, found, sorted(found))
    ]


WRITTEN: dict[str, tuple[Callable[..., Any], Callable[[Subject, Any], Rows]]] = {
    "activations": (diagnosis_activations.of_model, _of_activations),
    "gradients": (diagnosis_norms.gradients_of_model, _of_gradients),
}
