"""The rungs of successive halving: where runs stand at each, and which of them go on.

    rungs/5/PACK.parquet    where the runs of a pack stand at epoch 5: run_id, status, value
    rungs/5.json            the decision, once for all workers: the values, which runs go on, which are pruned

A decision follows from the standings alone, so a lost one is made again, with the same outcome.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lanes.describe import directions
from lanes.describe.halving import Halving
from lanes.errors import RequestError
from lanes.plan.packs import Pack
from lanes.plan.planned import Planned
from lanes.program.lane import Status
from lanes.storage import records
from lanes.storage.claims import Claims
from lanes.storage.directory import Directory
from lanes.storage.sealed import write_sealed

FAR = 2**31 - 1  # the epoch at which a run is pruned that is not


@dataclasses.dataclass(frozen=True)
class Stage:
    """How far packs are trained, and what earlier rungs decided.

    Attributes:
        until: train to this epoch, note where the runs stand, and wait; None: to the end.
        halving: by whose metric.
        higher_is_better: whether it is of that metric.
        cuts: the epoch after which a run is pruned, by run_id.
    """

    until: int | None = None
    halving: Halving | None = None
    higher_is_better: bool = False
    cuts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def cut(self, pack: Pack, epoch: int, status: np.ndarray) -> np.ndarray:
        """Which lanes [P] are running (`status` [P]) and pruned by an epoch."""
        ends = [FAR if one is None else self.cuts.get(one.run_id, FAR) for one in pack.lanes]
        return (np.array(ends) <= epoch) & (status == Status.RUNNING)

    def next_epoch(self, pack: Pack, epoch: int, total: int) -> int:
        """The epoch up to which a pack may be trained in one go."""
        ends = [self.until or total, total, *(cut for one in pack.members if (cut := self.cuts.get(one.run_id, 0)))]
        return min(end for end in ends if end > epoch)

    def has_reached(self, directory: Directory, pack: Pack) -> bool:
        """Whether a pack needs no training in this stage."""
        if self.until is None:
            return directory.has_ended(pack.pack_id)
        return directory.read_part(directory.rungs / str(self.until), pack.pack_id) is not None

    def standings(self, pack: Pack, ends: Mapping[str, np.ndarray], history: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Where the members of a pack stand at the rung, which it may have left behind since.

        Args:
            pack: of P members.
            ends: `status` and `epochs` [P].
            history: curves [P, E].
        """
        assert self.until is not None
        assert self.halving is not None
        beyond = (ends["epochs"] > self.until) | (
            (ends["epochs"] == self.until) & np.isin(ends["status"], (Status.RUNNING, Status.PRUNED, Status.DIVERGED))
        )
        statuses = ["running" if there else Status(one).label for there, one in zip(beyond, ends["status"])]
        values = self.halving.best(history[self.halving.metric], self.until, self.higher_is_better)
        run_ids = [member.run_id for member in pack.members]
        return pd.DataFrame({"run_id": run_ids, "status": statuses, "value": values})


WHOLE = Stage()  # every pack to its end, nothing pruned


def bind(directory: Directory, wanted: Halving | None, planned: Sequence[Planned]) -> Halving | None:
    """The halving that holds in a directory: that of its first worker, otherwise the one wanted.

    Raises RequestError for another than the directory's, for one in a directory that was begun without, and where the runs
    are not those that are ranked among each other.
    """
    content = directory.read_sweep() if directory.path.is_dir() else {}
    if not content:
        return wanted
    recorded = content.get("halving")
    if recorded is None:
        if wanted is not None:
            raise RequestError(f"{directory.path} was begun without halving: leave it out, or choose another --out")
        return None
    bound = Halving(tuple(recorded["rungs"]), recorded["keep"], recorded["metric"])
    if wanted is not None and wanted != bound:
        raise RequestError(
            f"{directory.path} was begun with {_text(bound)}, not with {_text(wanted)}: give the same, or choose another --out"
        )
    known = set(directory.read_runs(["run_id"]).get("run_id", ()))
    if known and known != {one.run_id for one in planned}:
        raise RequestError(
            f"{directory.path} ranks its {len(known)} runs among each other, and these {len(planned)} are not the same: give "
            "the same runs, or choose another --out"
        )
    return bound


def _text(halving: Halving) -> str:
    return f"halving {','.join(map(str, halving.rungs))} keep {halving.keep:g} by {halving.metric}"


class Rungs:
    """The decisions of one sweep.

    Args:
        directory: the sweep's.
        halving: what holds there.
        planned: all runs.
    """

    def __init__(self, directory: Directory, halving: Halving, planned: Sequence[Planned]):
        self.directory, self.halving, self.planned = directory, halving, planned
        own = directions.own_directions(one.run for one in planned)
        self.higher_is_better = directions.ranking_direction(halving.metric, own)
        for rung in halving.rungs:
            (directory.rungs / str(rung)).mkdir(parents=True, exist_ok=True)

    def path(self, rung: int) -> Path:
        """Where a decision is written."""
        return self.directory.rungs / f"{rung}.json"

    def read(self, rung: int) -> dict[str, Any] | None:
        """The decision of a rung, if it was made."""
        return self.directory.read_sealed(self.path(rung))

    def stage(self, rung: int | None) -> Stage:
        """How packs are trained to a rung, or to the end; all earlier rungs have been decided."""
        cuts: dict[str, int] = {}
        for earlier in self.halving.rungs:
            if earlier == rung or (decision := self.read(earlier)) is None:
                break
            cuts |= dict.fromkeys(decision["pruned"], earlier)
        return Stage(rung, self.halving, self.higher_is_better, cuts)

    def awaited(self, rung: int, packs: Sequence[Pack]) -> list[Pack]:
        """Packs whose standings at this rung are still missing."""
        standing = self._standings(rung, set())
        failed = self._failed()
        ranked = set(self._ranked(rung))
        there = set(standing) | failed
        return [pack for pack in packs if any(m.run_id in ranked and m.run_id not in there for m in pack.members)]

    def decide(self, rung: int) -> dict[str, Any]:
        """The decision of a rung that all packs have reached: the one already written, or made and written now."""
        with Claims(self.directory.path).hold(records.PLAN):
            decision = self.read(rung)
            if decision is None:
                decision = self._made(rung)
                write_sealed(self.path(rung), decision)
        return decision

    def _ranked(self, rung: int) -> list[str]:
        """Runs that come to a rung: all of them, or those that the rung before kept."""
        before = [each for each in self.halving.rungs if each < rung]
        decision = self.read(before[-1]) if before else None
        return [one.run_id for one in self.planned] if decision is None else decision["kept"]

    def _standings(self, rung: int, failed: set[str]) -> dict[str, tuple[str, float]]:
        """(status, value) of each run at a rung; of a pack that ended before it, at the last rung that it came to."""
        out = dict.fromkeys(failed, ("failed", math.nan))
        for each in self.halving.rungs:
            if each <= rung:
                table = self.directory.read_parts(self.directory.rungs / str(each))
                if len(table):
                    table = table[(table["status"] != "running") | (each == rung)]
                    out |= dict(zip(table["run_id"], zip(table["status"], table["value"])))
        return out

    def _failed(self) -> set[str]:
        results = self.directory.read_parts(self.directory.results)
        return set() if results.empty else set(results.loc[results["status"] == "failed", "run_id"])

    def _made(self, rung: int) -> dict[str, Any]:
        standings = self._standings(rung, self._failed())
        ranked = self._ranked(rung)
        values = {run_id: float(standings[run_id][1]) for run_id in ranked}
        values = {run_id: math.nan if standings[run_id][0] == "diverged" else value for run_id, value in values.items()}
        kept = self.halving.kept(values, self.higher_is_better)
        return {
            "rung": rung,
            "metric": self.halving.metric,
            "keep": self.halving.keep,
            "values": {run_id: value if math.isfinite(value) else None for run_id, value in values.items()},
            "kept": kept,
            "pruned": sorted(
                run_id for run_id in set(ranked) - set(kept) if standings[run_id][0] in ("running", "failed")
            ),
        }
