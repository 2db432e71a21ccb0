"""Which runs of a directory its experiment files still ask for, and which belong to an earlier version of a file.

Each run keeps the commands that asked for it: the experiment file with its `--set` and `--seeds`. A run is of an earlier
version of the file if the file's code has changed and none of these commands, with the file as it is now, asks for the run.
`--only`, `--shard` and fewer seeds leave runs out of a call and out of nothing else; neither does another file with the same
directory. Runs that come from Python have no file, and no version.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lanes.describe.identity import parsed
from lanes.files import read_regular
from lanes.storage import pandas_when_used as pd
from lanes.storage.directory import Directory

ASKED_BY = "asked_by"
EARLIER = "earlier_version_of"
PYTHON: dict[str, Any] = {"file": None, "set": [], "seeds": None}
MARKS = (ASKED_BY, EARLIER)
COLUMNS = ("run_id", "experiment", *MARKS)


@dataclasses.dataclass(frozen=True)
class Asking:
    """A command that asks for runs.

    Attributes:
        file: the experiment file.
        settings: the values of its `--set`.
        seeds: the value of its `--seeds`.
        run_ids: the runs that the present file asks for with other settings and seeds.
        code: by symbol, what identifies the code that the present runs use (`symbols`).
    """

    file: Path
    settings: tuple[str, ...]
    seeds: int | None
    run_ids: Callable[[tuple[str, ...], int | None], Collection[str]]
    code: Callable[[], Mapping[str, str]]

    @property
    def command(self) -> dict[str, Any]:
        """The command as a run keeps it."""
        return {"file": str(self.file.resolve()), "set": list(self.settings), "seeds": self.seeds}


def updated(
    directory: Directory, tables: Sequence[pd.DataFrame], asking: Asking | None, requested: Collection[str]
) -> pd.DataFrame:
    """The columns `run_id`, `asked_by` and `earlier_version_of` of the planned runs as they are after a command.

    Args:
        directory: of the sweep.
        tables: of the planned runs, those of this command included, with the columns `COLUMNS`.
        asking: the command; None for runs that come from Python.
        requested: run_ids that it asks for.
    """
    parts = [table.reindex(columns=list(COLUMNS)).astype(object) for table in tables if len(table)]
    return _updated(directory, pd.concat(parts, ignore_index=True), asking, requested)[["run_id", *MARKS]]


def are_in(known: pd.DataFrame, marks: pd.DataFrame) -> bool:
    """Whether the planned runs have these marks already."""
    if set(MARKS) <= set(known.columns) and len(known) == len(marks):
        before, now = (table.set_index("run_id")[list(MARKS)].astype(object) for table in (known, marks))
        return bool(((before == now) | (before.isna() & now.isna())).all(axis=None))
    return False


def _updated(
    directory: Directory, table: pd.DataFrame, asking: Asking | None, requested: Collection[str]
) -> pd.DataFrame:
    wanted = table["run_id"].isin(requested)
    if asking is None:
        return _of_python(table, wanted)
    file = asking.file.resolve()
    if file.parent == directory.path.resolve() and file.name in set(table["experiment"]):
        return _of_own_copy(table, asking, wanted)
    changed = _Changed(directory, asking)
    present: dict[str, Collection[str]] = {}  # run_ids by command, computed where a run outside the request has it
    texts = table[ASKED_BY].where(table[ASKED_BY].notna(), "[]")
    for text in texts.unique():
        rows = texts == text
        commands = json.loads(text)
        for is_wanted in (True, False):
            part = rows & (wanted == is_wanted)
            if part.any():
                table = _with_commands(table, part, commands, asking, is_wanted, present, changed)
    return table.assign(**{EARLIER: [_earlier(text) for text in table[ASKED_BY]]})


def _with_commands(
    table: pd.DataFrame,
    part: pd.Series,
    commands: list[dict[str, Any]],
    asking: Asking,
    is_wanted: bool,
    present: dict[str, Collection[str]],
    changed: _Changed,
) -> pd.DataFrame:
    """The table with the commands of some rows, all of which have the same, brought up to date."""
    own = [_taken_over(command, asking) for command in commands]
    table = table.copy()
    if is_wanted:
        kept = [command for command in own if not (_is_of(command, asking) and command.get("gone"))]
        table.loc[part, ASKED_BY] = json.dumps(kept + ([] if asking.command in kept else [asking.command]))
        return table
    ids = table.loc[part, "run_id"]
    still: dict[int, list[bool]] = {}  # by command of this file, whether it asks for each run
    for at, command in enumerate(own):
        if _is_of(command, asking):
            key = json.dumps([command["set"], command["seeds"]])
            if key not in present:
                present[key] = asking.run_ids(tuple(command["set"]), command["seeds"])
            still[at] = list(ids.isin(present[key]))
    if not still:
        return table
    whole = all(map(all, still.values()))
    differs = [False] * len(ids) if whole else list(changed.of(table.loc[part]))
    texts = functools.cache(lambda *bits: json.dumps([_marked(command, bit) for command, bit in zip(own, bits)]))
    bits = [
        [None] * len(ids)
        if at not in still
        else [False if asks else True if differ else None for asks, differ in zip(still[at], differs, strict=True)]
        for at in range(len(own))
    ]
    table.loc[part, ASKED_BY] = [texts(*row) for row in zip(*bits, strict=True)]
    return table


def _marked(command: dict[str, Any], gone: bool | None) -> dict[str, Any]:
    """A command that no longer asks for a run, or asks for it again; None leaves it as it is."""
    if gone is None:
        return command
    plain = {name: value for name, value in command.items() if name != "gone"}
    return {**plain, "gone": True} if gone else plain


def _of_python(table: pd.DataFrame, wanted: pd.Series) -> pd.DataFrame:
    """Runs that Python asked for stay asked for."""
    texts = table[ASKED_BY].where(table[ASKED_BY].notna(), "[]")
    added = {text: json.dumps([*(one for one in json.loads(text) if one != PYTHON), PYTHON]) for text in texts.unique()}
    return table.assign(
        **{ASKED_BY: table[ASKED_BY].where(~wanted, texts.map(added)), EARLIER: table[EARLIER].where(~wanted, None)}
    )


def _of_own_copy(table: pd.DataFrame, asking: Asking, wanted: pd.Series) -> pd.DataFrame:
    """The directory's own copy of a file goes on with that version's runs; new ones are of the version that the others are of."""
    new = wanted & table[ASKED_BY].isna()
    if not new.any():
        return table
    alike = table[table["experiment"].isin(table.loc[new, "experiment"]) & table[ASKED_BY].notna()]
    first = json.loads(alike[ASKED_BY].iloc[0])[:1] if len(alike) else []
    command = {**asking.command, **({"file": first[0]["file"]} if first else {})}
    if alike[EARLIER].notna().any():
        command["gone"] = True
    text = json.dumps([command])
    return table.assign(
        **{
            ASKED_BY: table[ASKED_BY].where(~new, text),
            EARLIER: table[EARLIER].where(~new, _earlier(text)),
        }
    )


def _is_of(command: Mapping[str, Any], asking: Asking) -> bool:
    return command["file"] == asking.command["file"]


def _taken_over(command: dict[str, Any], asking: Asking) -> dict[str, Any]:
    """The command of a file that is no longer where it was as one of the file of that name: a checkout has moved."""
    path = Path(command["file"] or "")
    moved = path.name == asking.file.name and not path.exists()
    return {**command, "file": asking.command["file"]} if moved else command


def _earlier(text: object) -> str | None:
    """The file of which a run is an earlier version; None for a run that is still asked for."""
    commands = json.loads(text) if isinstance(text, str) else []
    if not commands or not all(command.get("gone") for command in commands):
        return None
    return Path(commands[0]["file"]).name


class _Changed:
    """Whether the code of an experiment has changed since a run was recorded: that of the file, or what the run uses."""

    def __init__(self, directory: Directory, asking: Asking):
        self._directory, self._asking = directory, asking
        self._same_file: dict[object, bool] = {}

    def of(self, rows: pd.DataFrame) -> pd.Series:
        """For each row of `COLUMNS`."""
        same = rows["experiment"].map(self._is_same)
        if not same.any():
            return ~same
        described = self._directory.read_runs(("run_id", "description"))
        texts = dict(zip(described["run_id"], described["description"], strict=True)) if len(described) else {}
        code = self._asking.code()
        return pd.Series(
            [
                not alike or _differ(symbols(parsed(texts[run_id]) if texts.get(run_id) else None), code)
                for run_id, alike in zip(rows["run_id"], same, strict=True)
            ],
            index=rows.index,
        )

    def _is_same(self, copy: object) -> bool:
        if copy not in self._same_file:
            path = self._directory.path / Path(str(copy)).name
            self._same_file[copy] = _code(path) == _code(self._asking.file)
        return self._same_file[copy]


def _code(path: Path) -> str | None:
    """The code of a file without its comments and blank lines; None if it cannot be read."""
    try:
        return ast.dump(ast.parse(read_regular(path)))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _differ(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return any(other.get(name, version) != version for name, version in one.items())


def symbols(description: Any) -> dict[str, str]:
    """What identifies the code of each function and class in a run's description, by symbol."""
    if isinstance(description, list):
        return {name: text for item in description for name, text in symbols(item).items()}
    if not isinstance(description, dict):
        return {}
    found = {name: text for item in description.values() for name, text in symbols(item).items()}
    if isinstance(description.get("symbol"), str):
        own = {name: value for name, value in description.items() if name not in ("symbol", "fields")}
        found[description["symbol"]] = json.dumps(own, sort_keys=True)
    return found


# ---- what is said of them ------------------------------------------------------------------------------------------


def left_unended(directory: Directory, ended: Collection[str]) -> list[str]:
    """A line for each earlier version with runs that have not ended, and how to go on with them."""
    table = directory.read_runs(COLUMNS)
    if EARLIER not in table or not table[EARLIER].notna().any():
        return []
    left = table[table[EARLIER].notna() & ~table["run_id"].isin(ended)]
    lines = []
    for (name, copy, asked), runs in left.groupby([EARLIER, "experiment", ASKED_BY], dropna=False, sort=False):
        command = json.loads(asked)[0]
        words = ["lanes", "sweep", str(directory.path / str(copy)), "--out", str(directory.path)]
        words += [word for text in command["set"] for word in ("--set", text)]
        words += [] if command["seeds"] is None else ["--seeds", str(command["seeds"])]
        are = "run" if len(runs) == 1 else "runs"
        lines.append(
            f"{len(runs)} unended {are} of an earlier version of {name} left as they are; go on with them by {shlex.join(words)}"
        )
    return lines
