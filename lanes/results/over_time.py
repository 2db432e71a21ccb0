"""The same experiment at different versions: one directory for each, in the order in which they were begun."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lanes.errors import RequestError
from lanes.results.leaderboard import Leaderboard
from lanes.storage import calls, conditions
from lanes.storage.directory import existing

REVISION = "git revision"


@dataclasses.dataclass(frozen=True)
class Version:
    """What a directory's runs were trained with, by its first call.

    Attributes:
        name: of the directory.
        begun: when, in UTC.
        revision: of the checkout, with `+` where files differed from it; `none` outside one.
        conditions: what numbers depend on besides the runs: code, versions of libraries, device, settings.
        mixed: how later calls differ from the first; empty if none does.
    """

    name: str
    begun: str
    revision: str
    conditions: Mapping[str, Any]
    mixed: str


def in_order(paths: Mapping[str, Path]) -> list[Version]:
    """The versions of directories, by name, the earliest first.

    Raises RequestError for fewer than two, and for a directory without a sweep or without the facts of a call.
    """
    if len(paths) < 2:
        raise RequestError("--over-time compares versions: name two directories or more, one for each")
    out = []
    for (name, path), directory in zip(paths.items(), existing(paths.values(), changes=False), strict=True):
        facts = calls.first(directory)
        if not isinstance(facts.get("begun"), str):
            raise RequestError(f"{path} does not say when it was begun, so it has no place in time: leave it out")
        revision = str(facts.get("git_revision") or "none")[:12] + ("+" if facts.get("git_dirty") else "")
        mixed = "; ".join(dict.fromkeys(calls.differing(directory).values()))
        out.append(Version(name, facts["begun"], revision, facts.get("conditions", {}), mixed))
    return sorted(out, key=lambda version: version.begun)


def changes(first: Version, second: Version) -> dict[str, tuple[str, str]]:
    """What numbers depend on that differs between two versions: the revision, the code, libraries, device, settings."""
    found = conditions.differences(first.conditions, second.conditions)
    revisions = {} if first.revision == second.revision else {REVISION: (first.revision, second.revision)}
    return revisions | found


@dataclasses.dataclass(frozen=True)
class Trend:
    """A combination over versions.

    Attributes:
        name: its settings; `best` for the best combination of each version.
        rows: its row in the board's table, by version.
    """

    name: str
    rows: Mapping[str, int]


def trends(board: Leaderboard, names: Sequence[str]) -> tuple[Trend, list[Trend]]:
    """The best combination of each version, and every combination that two versions have, the best of the last version first.

    Args:
        board: a leaderboard with an axis `dir`.
        names: of the versions, in order.
    """
    valued = board.table[board.table[board.metric].notna()]
    best = {name: int(valued.index[valued["dir"] == name][0]) for name in names if (valued["dir"] == name).any()}
    others = [axis.name for axis in board.axes if axis.name != "dir"]
    rows: dict[str, dict[str, int]] = {}
    for row, at in valued.iterrows():
        name = " · ".join(f"{field} {at[field]}" for field in others) or "all runs"
        rows.setdefault(name, {})[str(at["dir"])] = int(str(row))
    found = [Trend(name, own) for name, own in rows.items() if len(own) > 1]
    last = next((name for name in reversed(names) if name in best), "")
    found.sort(key=lambda trend: trend.rows.get(last, len(board.table)))
    return Trend("best", best), found
