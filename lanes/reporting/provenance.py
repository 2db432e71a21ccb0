"""The section of the page that says where its numbers come from: what all runs share, and each call."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.files import read_regular
from lanes.reporting.markup import Markup, escape, paragraph, table, together
from lanes.results.axes import field_columns, label
from lanes.storage import calls
from lanes.storage.directory import Directory

CALLS, DIFFERING = "calls", "differing_calls"  # beside the content of sweep.json
MOST = 50  # calls in the table
COLUMNS = (
    "call",
    "begun",
    "ended",
    "status",
    "trained",
    "shard",
    "host",
    "process",
    "devices",
    "git_revision",
    "command",
)


def provenance_of(path: Path) -> dict[str, Any]:
    """The content of a directory's `sweep.json`, its first calls, and how later ones differ from the first."""
    try:
        found = json.loads(read_regular(path / "sweep.json"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return {"sweep.json": "missing or damaged"}
    directory = Directory(path, warn=_ignore, changes=False)
    listed = calls.read_all(directory, MOST)
    content = {name: value for name, value in found.items() if name not in ("sha256", "format")}
    return {**content, CALLS: listed, DIFFERING: calls.differing(directory)}


def _ignore(_: str) -> None:
    """`lanes.load` has said it."""


def provenance_section(runs: pd.DataFrame, provenance: Mapping[str, Mapping[str, Any]]) -> Markup:
    """The fields that all runs share, and for each directory the content of its sweep.json and its calls."""
    fixed = [(name, label(name, runs[name])[0].values) for name in field_columns(runs) if name != "seed"]
    rows = [[name, values[0]] for name, values in fixed if len(values) == 1 and values[0] not in ("–", "")]
    parts = [Markup("<h3>The same in all runs</h3>"), table(["field", "value"], rows, (), "wrap")]
    for name, found in provenance.items():
        lines = [[key, pretty(value)] for key, value in found.items() if key not in (CALLS, DIFFERING)]
        parts += [Markup(f"<h3>{escape(name)}: sweep.json</h3>"), table(["key", "value"], lines, (), "wrap")]
        if found.get(CALLS):
            parts += [
                Markup(f"<h3>{escape(name)}: calls</h3>"),
                _differing(found.get(DIFFERING, {})),
                _table(found[CALLS]),
            ]
    return together(*parts)


def _differing(found: Mapping[str, str]) -> Markup:
    """A paragraph for each way in which calls differ from the first."""
    out = []
    for text in dict.fromkeys(found.values()):
        names = [name for name, own in found.items() if own == text]
        them = names[0] if len(names) == 1 else f"{len(names)} calls, the first of them {names[0]}"
        out.append(paragraph(f"Numbers of {them}, may differ from those of the first call: {text}.", "warn"))
    return together(*out)


def _table(listed: Sequence[Mapping[str, Any]]) -> Markup:
    rows = [
        [pretty(found.get(name, "")) if found.get(name) is not None else "" for name in COLUMNS] for found in listed
    ]
    cut = paragraph(f"The first {MOST} calls; all are in calls/.", "note") if len(listed) == MOST else Markup("")
    return table([name.replace("_", " ") for name in COLUMNS], rows, (), "wrap") + cut


def pretty(value: Any) -> str:
    """A value of JSON as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {pretty(item)}" for key, item in value.items() if item not in ("", None))
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
