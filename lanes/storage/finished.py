"""Finished runs that longer ones go on from: their state at their last epoch, and their curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lanes.errors import DamagedFileError
from lanes.plan.packs import Pack
from lanes.program.lane import Lane, Status
from lanes.storage import checkpoints
from lanes.storage import pandas_when_used as pd
from lanes.storage.directory import Directory
from lanes.storage.rows import history_of


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        directory: of its sweep.
        run_id, pack, lane: which it is.
        epochs: its length.
        program: the text of the program that trained it (`Sharing.text`).
    """

    directory: Directory
    run_id: str
    pack: str
    lane: int
    epochs: int
    program: str


def shapes_of(tree: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes in a tree by dotted path."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {checkpoints.dotted(path): shape for path, shape in paths}


class Going(NamedTuple):
    """Where a pack goes on: its lanes on the host, the epoch, and the curves so far [members, E]."""

    lanes: Lane
    epoch: int
    history: dict[str, np.ndarray]


def finished_in(directory: Directory) -> dict[str, Finished]:
    """The runs of a directory that ended as `done`, by run_id."""
    results = directory.read_parts(directory.results)
    known = directory.read_runs(["run_id", "pack", "lane", "epochs", "program"])
    if results.empty or known.empty or "program" not in known:
        return {}
    done = results[results["status"] == "done"].set_index("run_id")["epochs"]
    known = known[known["run_id"].isin(done.index)].drop_duplicates("run_id", keep="last")
    rows = zip(*(known[name] for name in ("run_id", "pack", "lane", "epochs", "program")), strict=True)
    return {
        run_id: Finished(directory, run_id, pack, int(lane), int(epochs), program)
        for run_id, pack, lane, epochs, program in rows
        if int(done[run_id]) == int(epochs)  # not of a length in steps
    }


def going_on(pack: Pack, sources: Sequence[Finished], shapes: Lane) -> Going | None:
    """Where a pack goes on, whose members go on from finished runs of equal length; None if their files do not tell.

    Args:
        pack: the pack.
        sources: the finished run of each member.
        shapes: of the pack's lanes [P, …].
    """
    epoch = sources[0].epochs
    leaves = [_leaves(source) for source in sources]
    curves = [_curves(source, member.run_id) for source, member in zip(sources, pack.members, strict=True)]
    if any(one is None or len(one) != epoch for one in curves) or any(one is None for one in leaves):
        return None
    filled: dict[str, np.ndarray] = {}
    for name, like in shapes_of(shapes).items():
        own = [one[name] for one in leaves if one is not None and name in one]
        if len(own) < len(leaves) or any(leaf.shape != like.shape[1:] or leaf.dtype != like.dtype for leaf in own):
            return None
        filled[name] = np.stack([own[0]] * pack.size)
        for lane, leaf in zip(pack.places, own, strict=True):
            filled[name][lane] = leaf
    filled["status"] = np.full(pack.size, Status.EMPTY, np.int32)
    filled["status"][pack.places] = Status.RUNNING
    history = history_of(pd.concat(curves), [member.run_id for member in pack.members], epoch)
    return Going(checkpoints.unflatten(shapes, filled), epoch, history)


def _leaves(source: Finished) -> Mapping[str, Any] | None:
    """The state of a finished run's lane, by dotted path; None if it is not the end of the run."""
    try:
        found = source.directory.checkpoint(source.pack)
    except DamagedFileError:
        return None
    if found is None:
        return None
    leaves = {name: leaf[source.lane] for name, leaf in found[1].items() if np.ndim(leaf) and len(leaf) > source.lane}
    ended = leaves.get("status") == Status.DONE and leaves.get("epochs") == source.epochs
    return leaves if ended else None


def _curves(source: Finished, run_id: str) -> pd.DataFrame | None:
    curves = source.directory.read_part(source.directory.curves, source.pack)
    return None if curves is None else curves[curves["run_id"] == source.run_id].assign(run_id=run_id)
