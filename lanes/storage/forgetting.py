"""Forgetting runs: what a directory has of them is removed, so that they disappear from its tables or are trained again.

The names of the runs are first written down, in `forgetting.json`; then they leave the plan, and with it every table; then
their results, curves and lanes of checkpoints are removed. After a kill the next sweep, or the next `lanes forget`, goes on
from there. Lanes of other runs keep their place and every bit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lanes.errors import RequestError
from lanes.program.lane import Status
from lanes.storage import checkpoints, compaction, life, seals, stops
from lanes.storage import pandas_when_used as pd
from lanes.storage.claims import Claims
from lanes.storage.directory import MERGED, Directory
from lanes.storage.plausible import RUN_ID
from lanes.storage.records import PLAN
from lanes.storage.schema import PACK
from lanes.storage.seals import PACK_NAME, Mark
from lanes.storage.typed import to_pandas

FILE = "forgetting.json"
Lanes = Mapping[str, Mapping[str, int]]  # the lane of each run, by pack


def forget(directory: Directory, run_ids: Collection[str]) -> None:
    """Forget runs.

    Raises:
        RequestError: they cannot be forgotten now, or not alone; nothing is changed.
        OSError: the directory cannot be written; the next sweep or `forget` goes on.
    """
    _check_folders(directory)
    claims = Claims(directory.path)
    with claims.hold(PLAN, directory.warn):
        _finish(directory, claims)
        directory.mend_runs()
        table = directory.planned_runs()
        lanes = _lanes(table[table["run_id"].isin(run_ids)])
        _check(directory, table, lanes)
        with _packs_at_rest(directory, claims, lanes):
            directory.write_sealed(directory.path / FILE, {"lanes": {pack: dict(of) for pack, of in lanes.items()}})
            _remove(directory, lanes)


def finish(directory: Directory) -> None:
    """Go on forgetting after a kill, if there is something left to forget. Raises like `forget`."""
    if os.path.lexists(directory.path / FILE):
        _check_folders(directory)
        claims = Claims(directory.path)
        with claims.hold(PLAN, directory.warn):
            _finish(directory, claims)


def _finish(directory: Directory, claims: Claims) -> None:
    path = directory.path / FILE
    content = directory.read_sealed(path)
    if content is None:
        return
    if not _is_plausible(content.get("lanes")):
        directory.set_aside(path, "names no runs", lambda _: False, "nothing is forgotten")
        return
    with _packs_at_rest(directory, claims, content["lanes"]):
        _remove(directory, content["lanes"])


def _is_plausible(lanes: Any) -> bool:
    return isinstance(lanes, dict) and all(
        PACK_NAME.fullmatch(pack)
        and isinstance(of, dict)
        and all(RUN_ID.fullmatch(run_id) and type(lane) is int and lane >= 0 for run_id, lane in of.items())
        for pack, of in lanes.items()
    )


def _lanes(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {
        str(pack): {str(run_id): int(lane) for run_id, lane in zip(of["run_id"], of["lane"], strict=True)}
        for pack, of in rows.groupby("pack", sort=False)
    }


# ---- what must not be forgotten -----------------------------------------------------------------------------------


def _check_folders(directory: Directory) -> None:
    """Raise RequestError where a link stands in the place of a folder: nothing is removed through links."""
    folders = (directory.results, directory.curves, directory.checkpoints, directory.path / "claims")
    for folder in (*folders, stops.folder(directory), life.folder(directory)):
        if folder.is_symlink():
            raise RequestError(f"{folder} is a link, and nothing is removed through links: put the folder in its place")


def _check(directory: Directory, table: pd.DataFrame, lanes: Lanes) -> None:
    """Raise RequestError where other runs would be lost with these."""
    forgotten = {run_id for of in lanes.values() for run_id in of}
    if directory.read_sweep().get("halving") is not None:
        raise RequestError(
            f"{directory.path} ranks its runs against each other at the rungs of a halving, so that none can be forgotten: "
            "train the others in another --out"
        )
    if set(table["run_id"]) <= forgotten:
        raise RequestError(f"these are all {len(forgotten)} runs of {directory.path}: delete the directory instead")
    ended = directory.ended()
    for pack, of in lanes.items():
        others = set(table.loc[table["pack"] == pack, "run_id"]) - of.keys()
        if (left := others - ended) and checkpoints.numbers_in(directory.checkpoints / pack):
            run_id = next(iter(of))
            raise RequestError(
                f"run {run_id} shares pack {pack}, which is trained in part, with {len(left)} runs that have not ended and would "
                "begin again: repeat the sweep's command first, or name them too"
            )


@contextlib.contextmanager
def _packs_at_rest(directory: Directory, claims: Claims, lanes: Lanes) -> Iterator[None]:
    """Hold the locks of packs and of joining parts. Raises RequestError if a worker trains one of the packs."""
    at_work = {
        one.pack: worker for worker in life.workers(directory) if worker.state == life.ALIVE for one in worker.packs
    }
    taken: list[str] = []
    try:
        for pack in lanes:
            who = f"process {at_work[pack].process} on {at_work[pack].host}" if pack in at_work else None
            if who is None and not claims.take(pack):
                who = claims.holder(pack)
            if who is not None:
                raise RequestError(
                    f"pack {pack} is trained by {who}: lanes stop {directory.path}, then repeat this command"
                )
            taken.append(pack)
        with claims.hold(compaction.JOIN, directory.warn):
            yield
    finally:
        for pack in taken:
            claims.release(pack)


# ---- removing ----------------------------------------------------------------------------------------------------


def _remove(directory: Directory, lanes: Lanes) -> None:
    """Remove what there is of runs; what is removed already stays so."""
    forgotten = {run_id for of in lanes.values() for run_id in of}
    table = directory.planned_runs()
    if (rows := table["run_id"].isin(forgotten) & table["pack"].isin(lanes)).any():
        directory.write_runs(table[~rows].reset_index(drop=True))
    rest = set(directory.planned_runs()["pack"])
    for pack, of in lanes.items():
        mark = _remove_from_checkpoint(directory, pack, of) if pack in rest else None
        for folder in (directory.curves, directory.results):
            _remove_from_part(directory, folder, pack, of, pack in rest, mark)
        if pack not in rest:
            _remove_checkpoints(directory.checkpoints / pack)
        for run_id in of:
            stops.remove(directory, run_id)
    (directory.path / FILE).unlink(missing_ok=True)


def _remove_from_checkpoint(directory: Directory, pack: str, of: Mapping[str, int]) -> Mark | None:
    """Blank the lanes of runs in the checkpoint of their pack; returns its mark, None if the pack has no checkpoint."""
    found = directory.load_checkpoint(pack)
    if found is None:
        return None
    number, leaves = found
    path = directory.checkpoints / pack / str(number)
    blank = [lane for lane in of.values() if lane < len(leaves["status"])]
    if all(leaves["status"][lane] == Status.EMPTY for lane in blank):
        return checkpoints.mark(path, directory.sweep)
    stated = checkpoints.verify(path, directory.sweep)
    changed = {name: _blanked(name, leaf, blank) for name, leaf in leaves.items()}
    mark = seals.mark_of(number, changed)
    directory.save_checkpoint(pack, mark, int(stated.get("epoch", 0)), changed, checkpoints.calls_of(path))
    return mark


def _blanked(name: str, leaf: np.ndarray, lanes: Sequence[int]) -> np.ndarray:
    """A leaf with zeros in some lanes, whose status is that of an empty lane."""
    if not np.ndim(leaf):
        return leaf
    changed = np.array(leaf)
    changed[lanes] = Status.EMPTY if name == "status" else 0
    return changed


def _remove_from_part(
    directory: Directory, folder: Path, pack: str, run_ids: Collection[str], has_others: bool, mark: Mark | None
) -> None:
    """Remove the rows of runs of a pack from its part of a table, its own or a joined one; a part without rows is deleted.

    Args:
        directory: of the sweep.
        folder: of the table.
        pack: the pack.
        run_ids: of its runs that are removed.
        has_others: whether it has other runs.
        mark: of its checkpoint as it is now.
    """
    for path in directory.listed(folder):
        joined = path.name.startswith(MERGED)
        if not joined and path.stem != pack:
            continue
        seal, table = directory.seal_of(path), directory.read(path)
        if seal is None or table is None or pack not in seal.marks:
            continue
        rows = to_pandas(table)
        gone = (rows[PACK] == pack) & (rows["run_id"].isin(run_ids) | (not has_others))
        marks = dict(seal.marks)
        if not has_others:
            del marks[pack]
        elif marks[pack] is not None and mark is not None:
            marks[pack] = mark
        if not marks:
            path.unlink()
        elif gone.any() or marks != seal.marks:
            directory.write_part(folder, path.stem, rows[~gone].reset_index(drop=True), marks)


def _remove_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a pack without runs; what is not ours stays."""
    if folder.is_symlink():
        return
    for number in checkpoints.numbers_in(folder):
        if checkpoints.is_ours(folder / str(number)):
            shutil.rmtree(folder / str(number))
    with contextlib.suppress(OSError):
        os.rmdir(folder)
