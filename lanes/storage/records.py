"""The plan as a directory records it: the pack and lane of each run, and the widths that bind all workers.

Packs of earlier calls stay as they are; new runs make new packs. A run has one row in `runs.parquet`, whatever the order
of the calls.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lanes.describe import comparable
from lanes.describe.directions import Directions, merged, own_directions
from lanes.describe.encoding import encode
from lanes.describe.halving import Halving
from lanes.describe.runs import Run
from lanes.plan.packs import Pack, Portions, make_packs
from lanes.plan.planned import Planned
from lanes.plan.widths import Choice
from lanes.storage import asked, calls, data_records, provenance
from lanes.storage import pandas_when_used as pd
from lanes.storage.asked import Asking
from lanes.storage.claims import Claims, have_locks
from lanes.storage.compaction import widen_parts
from lanes.storage.directory import Directory
from lanes.storage.experiment_copies import keep_copy
from lanes.storage.planned_rows import SOURCE, planned_rows
from lanes.storage.provenance import Call
from lanes.storage.recorded_programs import in_recorded_programs
from lanes.storage.schema import PROGRAM
from lanes.storage.typed import stacked_frames

# The columns that a resume reads.
PLACES = ("run_id", "pack", "lane", "pack_shape", PROGRAM, *SOURCE, *asked.MARKS, *data_records.COLUMNS)
PLAN = "plan"  # the lock for changing the plan
UNDIVIDED = Portions()


def known_runs(directory: Directory) -> pd.DataFrame:
    """Pack and lane of the runs of earlier calls: the columns PLACES of `runs.parquet`, one row per run."""
    known = directory.read_runs(PLACES)
    return known if known.empty else known.drop_duplicates("run_id", keep="last")


def bound_widths(directory: Directory, known: pd.DataFrame) -> dict[str, int]:
    """Width by short signature, from sweep.json, or from the packs themselves if that is damaged."""
    bound = {}
    for shape in () if known.empty else known["pack_shape"].unique():
        width, _, _, signature = str(shape).split(",")
        bound[signature] = int(width)
    return bound | {key: int(value) for key, value in directory.read_sweep().get("widths", {}).items()}


def narrowed(directory: Directory) -> dict[str, int]:
    """Width by pack_id of packs for which memory did not allow their own."""
    return {key: int(value) for key, value in directory.read_sweep().get("narrowed", {}).items()}


def narrow(directory: Directory, pack_id: str, width: int) -> None:
    """Record that a pack is trained at a smaller width than its own."""
    with Claims(directory.path).hold(PLAN, directory.warn):
        content = directory.read_sweep()
        directory.write_sweep({**content, "narrowed": {**content.get("narrowed", {}), pack_id: width}})


def recorded_directions(directory: Directory) -> Directions:
    """Whether higher is better of the metrics that a sweep's runs bring themselves, by name, as sweep.json has it."""
    recorded = directory.read_sweep().get("higher_is_better")
    pairs = recorded.items() if isinstance(recorded, dict) else ()
    return {name: higher for name, higher in pairs if isinstance(higher, (bool, type(None)))}


def note_split_sizes(
    directory: Directory, planned: Iterable[Planned], sizes_of: Callable[[Run], Mapping[str, int]]
) -> None:
    """Record how many examples the splits of the runs' data have: `sizes_of` a run, by split."""
    sizes: dict[str, dict[str, int]] = {}
    known: set[tuple[int, ...]] = set()
    for member in planned:
        values = {name: getattr(member.run, name) for name in ("data", "valid_fraction", "train_examples")}
        at = tuple(map(id, values.values()))
        if at not in known:
            known.add(at)
            key = comparable.data_key({name: encode(value) for name, value in values.items()})
            sizes[key] = sizes.get(key) or dict(sizes_of(member.run))
    with Claims(directory.path).hold(PLAN, directory.warn):
        content = directory.read_sweep()
        before = content.get("examples", {})
        if before | sizes != before:
            directory.write_sweep({**content, "examples": before | sizes})


def split_sizes(directory: Directory) -> dict[str, dict[str, int]]:
    """The number of examples by split, by `comparable.data_key`, as sweep.json has it."""
    recorded = directory.read_sweep().get("examples")
    return recorded if isinstance(recorded, dict) else {}


def directions(directory: Directory, planned: Iterable[Planned]) -> Directions:
    """Whether higher is better of the user's own metrics, by name: as the directory's runs say, and these.

    Raises RequestError where two metrics of one name differ.
    """
    recorded = recorded_directions(directory) if directory.path.is_dir() else {}
    return merged(recorded, own_directions(one.run for one in planned))


def record(
    planned: Sequence[Planned],
    directory: Directory,
    choices: Mapping[str, Choice],
    call: Call,
    *,
    portions: Portions = UNDIVIDED,
    halving: Halving | None = None,
    apart: Mapping[str, int] | None = None,
) -> list[Pack]:
    """Write down what is planned, and return the packs that the planned runs are in.

    Args:
        planned: the runs of the call.
        directory: where.
        choices: the width of each signature.
        call: where the runs come from, and where they are trained.
        portions: how new runs are divided into packs.
        halving: what holds in the directory.
        apart: a number by run_id; new runs of unequal numbers, 0 for those that it lacks, share no pack.
    """
    claims = Claims(directory.path)
    with Claims(directory.path).hold(PLAN, directory.warn), contextlib.ExitStack() as until_written:
        until_written.callback(claims.release_all)
        directory.mend_runs()
        known = known_runs(directory)
        data_records.compare(directory, known, [member.data for member in planned])
        planned = in_recorded_programs(planned, known)
        packs = earlier_packs(planned, known)
        divided = _divisible(packs, directory, portions, claims)
        packs = [pack for pack in packs if pack.pack_id not in divided]
        placed = {member.run_id for pack in packs for member in pack.members}
        missing = [one for one in planned if one.run_id not in placed]
        ended = directory.ended() if missing and len(known) else set()
        at_rest = ended & set(known["run_id"]) if len(known) else set()  # they keep their place, and their checkpoint
        fresh = [one for one in missing if one.run_id not in at_rest]
        bound = {provenance.short(key): choice.width for key, choice in choices.items()} | bound_widths(
            directory, known
        )
        agreed = {member.signature: bound[provenance.short(member.signature)] for member in fresh}
        numbers = [(apart or {}).get(one.run_id, 0) for one in fresh]
        new: list[Pack] = []
        for number in sorted(set(numbers)):
            alike = [one for one, own in zip(fresh, numbers, strict=True) if own == number]
            new += make_packs(
                alike, agreed, portions.workers, call.places[0].shards, portions.most, dealt=halving is not None
            )
        source = keep_copy(directory, call.experiment, *_sources(known))
        _write_rows(directory, known, planned_rows(new, source), planned, call.asking)
        previous = directory.read_sweep()
        facts = calls.first(directory) or provenance.facts(call)
        how = {provenance.short(key): choice.how for key, choice in choices.items() if choice.how != "bound"}
        kept = {"chosen": {**how, **previous.get("chosen", {})}, "narrowed": previous.get("narrowed", {})}
        kept["examples"] = previous.get("examples", {})
        about: dict[str, Any] = {"widths": bound, "experiment": source and source.name}
        about["data"] = data_records.in_sweep(previous, [member.data for member in planned])
        about["higher_is_better"] = directions(directory, planned)
        about["halving"] = halving and dataclasses.asdict(halving)
        directory.write_sweep({**facts, **kept, **about})
    return packs + new


def _divisible(packs: Sequence[Pack], directory: Directory, portions: Portions, claims: Claims) -> set[str]:
    """Packs that are divided further, as too few are left for all places: large ones that nobody has begun. They are claimed."""
    if len(packs) == 0 or not portions.least or not have_locks(directory.path):
        return set()
    ended = directory.ended()
    left = [pack for pack in packs if any(member.run_id not in ended for member in pack.members)]
    if len(left) >= portions.least:
        return set()
    large = [pack for pack in left if pack.size > max(pack.width, portions.most.get(pack.signature, pack.size))]
    return {pack.pack_id for pack in large if claims.take(pack.pack_id) and not _is_begun(directory, pack.pack_id)}


def _is_begun(directory: Directory, pack: str) -> bool:
    """Whether there is anything of a pack but its plan."""
    folders = (directory.curves, directory.results, *directory.rungs.glob("*"))
    return (directory.checkpoints / pack).exists() or any((folder / f"{pack}.parquet").exists() for folder in folders)


def _write_rows(
    directory: Directory, known: pd.DataFrame, rows: pd.DataFrame, planned: Sequence[Planned], asking: Asking | None
) -> None:
    """Write the table of planned runs if it changes: by further rows, which replace those of the same runs, by records of data
    that were missing, or by which runs are still asked for.
    """
    records = {member.run_id: member.data for member in planned}
    before = known[~known["run_id"].isin(rows["run_id"])] if len(known) and len(rows) else known
    marks = asked.updated(directory, [before, rows], asking, set(records))
    if rows.empty and not data_records.can_complete(known, records) and asked.are_in(known, marks):
        return
    table = data_records.completed(directory.read_runs(), records)
    if len(rows):
        kept = table if table.empty else table[~table["run_id"].isin(rows["run_id"])]
        table = stacked_frames([part for part in (kept, rows) if len(part)])
    unmarked = table.drop(columns=list(asked.MARKS), errors="ignore")
    measured = directory.measured()
    directory.write_runs(unmarked.merge(marks, on="run_id", how="left"))
    if len(known) and directory.measured() != measured:
        widen_parts(directory)


def earlier_packs(planned: Iterable[Planned], known: pd.DataFrame) -> list[Pack]:
    """The packs of earlier calls all of whose runs are in `planned`."""
    if known.empty:
        return []
    by_id = {member.run_id: member for member in planned}
    whole = known["run_id"].isin(by_id).groupby(known["pack"]).transform("all")
    packs = []
    for name, rows in known[whole].groupby("pack", sort=False):
        width, size, seeds = map(int, rows["pack_shape"].iloc[0].split(",")[:3])
        lanes: list[Planned | None] = [None] * size
        for run_id, lane in zip(rows["run_id"], rows["lane"]):
            lanes[lane] = by_id[run_id]
        pack = Pack(tuple(lanes), width, seeds)
        # The name differs if some of its runs have moved to another pack.
        if pack.pack_id == name and len({member.signature for member in pack.members}) == 1:
            packs.append(pack)
    return packs


def _sources(known: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    """SHA-256 of each copy of the experiment, by name, and what is said of the modules beside the copies."""
    if known.empty:
        return {}, []
    copies = known[list(SOURCE)].dropna().drop_duplicates()
    return dict(zip(copies["experiment"], copies["experiment_sha256"])), list(copies["experiment_modules"].unique())
