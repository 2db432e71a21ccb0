"""Changes that a command line makes to a list of runs: `--set`, `--seeds` and `--only`."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from lanes.describe import identity, runs
from lanes.describe.runs import Run
from lanes.errors import RequestError, unknown


def with_settings(sweep: Sequence[Run], settings: Sequence[str]) -> list[Run]:
    """Every run with each `FIELD=VALUE` applied, in order; runs that become equal are kept once.

    Raises RequestError for an unknown field, or a value of another type.
    """
    out = list(sweep)
    if not settings:
        return out
    for path, text in map(_assignment, settings):
        out = [runs.set_field(run, path, runs.parse_field(run, path, text)) for run in out]
    return distinct(out)


def with_seeds(sweep: Sequence[Run], count: int) -> list[Run]:
    """The runs with their seeds replaced by 0 … count - 1.

    Raises RequestError for a count below 1.
    """
    if count < 1:
        raise RequestError(f"--seeds is {count}: it must be at least 1")
    unseeded = distinct([dataclasses.replace(run, seed=0) for run in sweep])
    return [dataclasses.replace(run, seed=seed) for run in unseeded for seed in range(count)]


def without_ids(conditions: Sequence[str]) -> tuple[list[str], list[str]]:
    """The conditions of `--only` without those on `run_id`, and the run_ids or prefixes that these allow."""
    ids: list[str] = []
    rest = []
    for path, text in map(_assignment, conditions):
        if path == "run_id":
            ids += [part.strip() for part in text.split("|")]
        else:
            rest.append(f"{path}={text}")
    return rest, ids


def only(sweep: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """The runs that match every `FIELD=VALUE`; a value is a name or a number, or several joined by `|`.

    Raises RequestError if no run is left.
    """
    out = list(sweep)
    for path, text in map(_assignment, conditions):
        rows = [runs.row(run) for run in out]
        if path.split(".")[0] not in runs.FIELDS and not any(path in row for row in rows):
            raise unknown("field of Run", path, runs.FIELDS)
        found = matching([row.get(path, ABSENT) for row in rows], text)
        kept = [run for run, is_kept in zip(out, found, strict=True) if is_kept]
        if out and not kept:
            present = sorted({str(row.get(path)) for row in rows})
            raise RequestError(f"--only {path}={text} matches no run: {path} is {', '.join(present[:8])}")
        out = kept
    return out


ABSENT = object()  # a column that a run lacks: no text matches it


def matching(values: Iterable[Any], text: str) -> list[bool]:
    """Which cells of a table equal a command line's text, or one of the alternatives that `|` joins.

    A cell matches as it is or as a number; where none does, ignoring case.
    """
    cells = list(values)
    found = [False] * len(cells)
    for part in text.split("|"):
        own = [_same_number(cell, part) or str(cell) == part.strip() for cell in cells]
        if not any(own):
            own = [str(cell).lower() == part.strip().lower() for cell in cells]
        found = [old or new for old, new in zip(found, own, strict=True)]
    return found


def _same_number(value: Any, text: str) -> bool:
    try:
        return float(value) == float(text)
    except (TypeError, ValueError):
        return False


def _assignment(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise RequestError(f"got {text!r}: write FIELD=VALUE")
    return path.strip(), value


def distinct(sweep: Iterable[Run]) -> list[Run]:
    """The runs without duplicates, in order; runs with the same `run_id` are duplicates."""
    seen: dict[str, Run] = {}
    descriptions = identity.Descriptions()
    for run in sweep:
        seen.setdefault(descriptions.run_id(runs.resolve(run)), run)
    return list(seen.values())
