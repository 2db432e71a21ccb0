"""Packs on their way to a worker: as descriptions on the driver's side, planned again from them on the worker's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from lanes.cluster.messages import Parcel
from lanes.errors import RequestError
from lanes.plan.families import Families
from lanes.plan.packs import Pack
from lanes.plan.planned import Planned
from lanes.plan.sharing import in_program
from lanes.program.sharing import sharing_of
from lanes.storage.directory import Directory
from lanes.storage.finished import Finished
from lanes.storage.planned_rows import SOURCE
from lanes.storage.provenance import short
from lanes.storage.trained import run_of


def wrap(pack: Pack, source_of: Callable[[str], Sequence[Any]], continued: Mapping[str, Finished]) -> Parcel:
    """A pack as it is sent to a worker.

    Args:
        pack: the pack.
        source_of: the columns SOURCE of a run, by run_id.
        continued: the finished runs that runs go on from, by run_id.
    """
    rows = [
        row_of(member, source_of(member.run_id)) | {"lane": int(lane)}
        for lane, member in zip(pack.places, pack.members, strict=True)
    ]
    first = pack.members[0]
    own = {member.run_id: continued[member.run_id] for member in pack.members if member.run_id in continued}
    return Parcel(
        pack.pack_id,
        rows,
        (pack.width, pack.size, pack.seeds),
        short(first.signature),
        first.sharing.text,
        (first.data.id, first.data.fingerprint),
        {run_id: (one.run_id, one.pack, one.lane, one.epochs, one.program) for run_id, one in own.items()},
    )


def row_of(member: Planned, source: Sequence[Any]) -> dict[str, Any]:
    """The columns of `runs.parquet` that a run is made from again."""
    about = {"run_id": member.run_id, "description": member.descriptions.of(member.run)}
    return {**about, **dict(zip(SOURCE, source, strict=True))}


def planned_again(row: Mapping[str, Any], data: tuple[str, str], directory: Directory, families: Families) -> Planned:
    """The run of a row, planned by this process.

    Raises RequestError if its code or its data are not the driver's.
    """
    found = families.plan(run_of(directory, pd.Series(dict(row))))
    if found.run_id != row["run_id"]:
        raise RequestError(
            f"run {row['run_id']} is {found.run_id} here: what it is made of has another version than the driver's; install "
            "the same code"
        )
    if differs := found.data.differs_from(*data):
        raise RequestError(
            f"{found.data.name} gives other arrays than the driver's (fingerprint of {differs}): bring the same data here"
        )
    return found


def unwrap(parcel: Parcel, directory: Directory, families: Families) -> Pack:
    """The pack of a parcel.

    Raises RequestError if this process makes another pack of it, or cannot plan its runs.
    """
    planned = [planned_again(row, parcel.data, directory, families) for row in parcel.rows]
    shared = sharing_of(parcel.program)
    planned = in_program(planned, {member.run_id: shared for member in planned})
    width, size, seeds = parcel.shape
    lanes: list[Planned | None] = [None] * size
    for row, member in zip(parcel.rows, planned, strict=True):
        lanes[row["lane"]] = member
    pack = Pack(tuple(lanes), width, seeds)
    signatures = {short(member.signature) for member in planned}
    if pack.pack_id != parcel.pack or signatures != {parcel.signature}:
        raise RequestError(f"pack {parcel.pack} has another program here: install the driver's code")
    return pack


def continued_of(parcel: Parcel, directory: Directory) -> dict[str, Finished]:
    """The finished runs that those of a parcel go on from, by run_id."""
    return {run_id: Finished(directory, *about) for run_id, about in parcel.continued.items()}
