"""The training programs of a directory's runs, which bind every later call: a run's last digits depend on its program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lanes.plan.planned import Planned
from lanes.plan.sharing import in_program, kind
from lanes.program.sharing import SEPARATE, Sharing, sharing_of
from lanes.storage import pandas_when_used as pd
from lanes.storage.provenance import short
from lanes.storage.schema import PROGRAM


def in_recorded_programs(planned: Sequence[Planned], known: pd.DataFrame) -> list[Planned]:
    """The runs in the programs that `known`, the directory's planned runs, records.

    A new run joins a recorded program that it fits: of several, the one whose runs may differ in the least. Otherwise it
    keeps its own.

    Raises RequestError for a program that this version does not know.
    """
    if known.empty or PROGRAM not in known:
        return list(planned)
    recorded = dict(zip(known["run_id"], known[PROGRAM].fillna(SEPARATE), strict=True))
    asked = {one.run_id: recorded[one.run_id] for one in planned if one.run_id in recorded}
    programs = {text: sharing_of(text) for text in set(asked.values())}
    sharing = {run_id: programs[text] for run_id, text in asked.items()}
    new = [one for one in planned if one.run_id not in recorded]
    if new:
        sharing |= _joining(new, known)
    return in_program(planned, sharing)


def _joining(new: Sequence[Planned], known: pd.DataFrame) -> dict[str, Sharing]:
    """The recorded program of each new run that fits one, by run_id."""
    distinct = known[[PROGRAM, "pack_shape"]].drop_duplicates().itertuples(index=False)
    programs = {(text, str(shape).split(",")[3]) for text, shape in distinct if isinstance(text, str)}
    ordered = sorted(programs, key=lambda one: (len(one[0]), one))
    found: dict[Any, Sharing | None] = {}
    for member in new:
        key = kind(member)
        if key not in found:
            found[key] = next((shared for text, name in ordered if (shared := _fits(member, text, name))), None)
    return {member.run_id: shared for member in new if (shared := found[kind(member)]) is not None}


def _fits(member: Planned, text: str, name: str) -> Sharing | None:
    """What a recorded program shares, if it is the member's as well: its signature, whose short form is `name`, is equal."""
    shared = sharing_of(text)
    if not shared.allows(member.run):
        return None
    (one,) = in_program([member], {member.run_id: shared})
    return shared if short(one.signature) == name else None
