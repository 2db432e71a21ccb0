"""The rungs of successive halving: where runs stand at each, and which of them go on.

    rungs/5/PACK.parquet    standings of a pack's runs at epoch 5: run_id, status, value
    rungs/5.json            the decision, once for all workers: the values, which runs go on, which are pruned

A decision follows from the standings alone, so a lost one is made again, with the same outcome.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lanes.describe import directions
from lanes.describe.halving import Halving
from lanes.errors import RequestError
from lanes.files import make_folder
from lanes.plan.packs import Pack
from lanes.plan.planned import Planned
from lanes.program.lane import Status
from lanes.storage import pandas_when_used as pd
from lanes.storage import records
from lanes.storage.claims import Claims
from lanes.storage.directory import Directory

FAR = 2**31 - 1  # the epoch of pruning for runs that are not pruned


@dataclasses.dataclass(frozen=True)
class Stage:
    """How far packs are trained, and what earlier rungs decided.

    Attributes:
        until: train to this epoch, record the standings, and wait; None trains to the end.
        halving: the halving, whose metric ranks the runs.
        higher_is_better: whether a higher metric is better.
        cuts: the epoch after which a run is pruned, by run_id.
    """

    until: int | None = None
    halving: Halving | None = None
    higher_is_better: bool = False
    cuts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def cut(self, pack: Pack, epoch: int, status: np.ndarray) -> np.ndarray:
        """Which lanes [P] are still running (`status` [P]) though pruned by this epoch."""
        ends = [FAR if member is None else self.cuts.get(member.run_id, FAR) for member in pack.lanes]
        return (np.array(ends) <= epoch) & (status == Status.RUNNING)

    def next_epoch(self, pack: Pack, epoch: int, total: int) -> int:
        """The epoch up to which a pack may be trained in one go."""
        ends = [self.until or total, total, *(cut for m in pack.members if (cut := self.cuts.get(m.run_id, 0)))]
        return min(end for end in ends if end > epoch)

    def has_reached(self, directory: Directory, pack: Pack) -> bool:
        """Whether a pack needs no training in this stage."""
        if self.until is None:
            return directory.has_ended(pack.pack_id)
        return directory.read_part(directory.rungs / str(self.until), pack.pack_id) is not None

    def standings(self, pack: Pack, ends: Mapping[str, np.ndarray], history: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """The standings of a pack's members at the rung, which the pack may have passed since.

        Args:
            pack: a pack of P members.
            ends: `status` and `epochs` [P].
            history: curves [P, E].
        """
        assert self.until is not None
        assert self.halving is not None
        beyond = (ends["epochs"] > self.until) | (
            (ends["epochs"] == self.until) & np.isin(ends["status"], (Status.RUNNING, Status.PRUNED, Status.DIVERGED))
        )
        statuses = ["running" if passed else Status(status).label for passed, status in zip(beyond, ends["status"])]
        values = self.halving.best(history[self.halving.metric], self.until, self.higher_is_better)
        run_ids = [member.run_id for member in pack.members]
        return pd.DataFrame({"run_id": run_ids, "status": statuses, "value": values})


WHOLE = Stage()  # every pack to its end, nothing pruned


def bind(directory: Directory, requested: Halving | None, planned: Sequence[Planned]) -> Halving | None:
    """The halving of a directory: that of its first worker, or the requested one if the directory is new.

    Raises RequestError if the request differs from the directory's halving, if the directory was begun without one, or if
    the runs are not the ones that the directory ranks.
    """
    content = directory.read_sweep() if directory.path.is_dir() else {}
    if not content:
        return requested
    recorded = content.get("halving")
    if recorded is None:
        if requested is not None:
            raise RequestError(
                f"{directory.path} was begun without halving: leave it out (--halving off, where the experiment file has one), "
                "or choose another --out"
            )
        return None
    bound = Halving(
        tuple(recorded["rungs"]), recorded["keep"], recorded["metric"]
    )  # `read_sweep` has checked their types
    if requested is not None and requested != bound:
        raise RequestError(
            f"{directory.path} was begun with {_text(bound)}, not {_text(requested)}: give the same, or choose another --out"
        )
    known = set(directory.read_runs(["run_id"]).get("run_id", ()))
    if known and known != {member.run_id for member in planned}:
        raise RequestError(
            f"{directory.path} ranks its {len(known)} runs against each other, and these {len(planned)} are not the same: give "
            "the same runs, or choose another --out"
        )
    return bound


def _text(halving: Halving) -> str:
    return f"halving {','.join(map(str, halving.rungs))} keep {halving.keep:g} by {halving.metric}"


class Rungs:
    """The decisions of one sweep.

    Args:
        directory: the sweep's directory.
        halving: its halving.
        planned: all runs.
    """

    def __init__(self, directory: Directory, halving: Halving, planned: Sequence[Planned]):
        self.directory, self.halving, self.planned = directory, halving, planned
        own = directions.own_directions(member.run for member in planned)
        self.higher_is_better = directions.ranking_direction(halving.metric, own)
        for rung in halving.rungs:
            try:
                make_folder(directory.rungs / str(rung), directory.path)
            except OSError as error:
                raise RequestError(f"{error.filename}: {error.strerror}; move it away") from None

    def path(self, rung: int) -> Path:
        """The file of a rung's decision."""
        return self.directory.rungs / f"{rung}.json"

    def read(self, rung: int) -> dict[str, Any] | None:
        """The decision of a rung; None if it is not made yet. One that does not follow from its own values is set aside."""
        decision = self.directory.read_sealed(self.path(rung))
        if decision is None or self._follows(decision, rung):
            return decision
        self.directory.set_aside(self.path(rung), "does not follow from its own values", lambda _: False)
        return None

    def _follows(self, decision: Mapping[str, Any], rung: int) -> bool:
        """Whether a decision is what this halving makes of the values in it."""
        if any(decision.get(name) != value for name, value in self._stated(rung).items()):
            return False
        values, kept, pruned = (decision.get(name) for name in ("values", "kept", "pruned"))
        known = {member.run_id for member in self.planned}
        if not isinstance(values, dict) or not values.keys() <= known or not isinstance(pruned, list):
            return False
        if not all(value is None or type(value) in (int, float) for value in values.values()):
            return False
        numbers = {run_id: math.nan if value is None else value for run_id, value in values.items()}
        others = values.keys() - {*self.halving.kept(numbers, self.higher_is_better)}
        return kept == self.halving.kept(numbers, self.higher_is_better) and all(
            isinstance(run_id, str) and run_id in others for run_id in pruned
        )

    def _stated(self, rung: int) -> dict[str, Any]:
        return {"rung": rung, "metric": self.halving.metric, "keep": self.halving.keep}

    def stage(self, rung: int | None) -> Stage:
        """The stage that trains to a rung, or to the end; all earlier rungs must be decided."""
        cuts: dict[str, int] = {}
        for earlier in self.halving.rungs:
            if earlier == rung or (decision := self.read(earlier)) is None:
                break
            cuts |= dict.fromkeys(decision["pruned"], earlier)
        return Stage(rung, self.halving, self.higher_is_better, cuts)

    def awaited(self, rung: int, packs: Sequence[Pack]) -> list[Pack]:
        """Packs whose standings at this rung are still missing."""
        known = set(self._standings(rung, set())) | self._failed()
        missing = set(self._ranked(rung)) - known
        return [pack for pack in packs if any(member.run_id in missing for member in pack.members)]

    def decide(self, rung: int) -> dict[str, Any]:
        """The decision of a rung that all packs have reached: read if it exists, otherwise made and written."""
        with Claims(self.directory.path).hold(records.PLAN, self.directory.warn):
            decision = self.read(rung)
            if decision is None:
                decision = self._made(rung)
                self.directory.write_sealed(self.path(rung), decision)
        return decision

    def _ranked(self, rung: int) -> list[str]:
        """The runs ranked at a rung: all of them, or those that the previous rung kept."""
        earlier = [other for other in self.halving.rungs if other < rung]
        decision = self.read(earlier[-1]) if earlier else None
        return [member.run_id for member in self.planned] if decision is None else decision["kept"]

    def _standings(self, rung: int, failed: set[str]) -> dict[str, tuple[str, float]]:
        """(status, value) of each run at a rung, or at the last rung it reached if it ended earlier."""
        out = dict.fromkeys(failed, ("failed", math.nan))
        for other in self.halving.rungs:
            if other <= rung:
                table = self.directory.read_parts(self.directory.rungs / str(other))
                if len(table):
                    table = table[(table["status"] != "running") | (other == rung)]
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
            **self._stated(rung),
            "values": {run_id: value if math.isfinite(value) else None for run_id, value in values.items()},
            "kept": kept,
            "pruned": sorted(
                run_id for run_id in set(ranked) - set(kept) if standings[run_id][0] in ("running", "failed")
            ),
        }
