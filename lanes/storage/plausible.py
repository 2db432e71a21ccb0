"""What this program writes into `runs.parquet` and `sweep.json`, as opposed to what anyone can write under a right checksum.

Names are checked here, when they are read, before any of them becomes a path.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from lanes.describe.halving import Halving
from lanes.errors import RequestError
from lanes.storage.seals import PACK_NAME
from lanes.storage.typed import TEXT

# Beginnings of the directory's own names, which no copied module has.
TAKEN = ("results", "curves", "checkpoints", "rungs", "experiment", "modules", "claims")
RUN_ID = re.compile(r"[0-9a-f]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
COPY = re.compile(r"experiment(?:_[0-9]{1,3})?\.py")
FOLDER = re.compile(r"(?:modules_[0-9]{1,3})?")
MODULE = re.compile(r"(?:\w+/)*\w+\.py")
SHAPE = re.compile(r"([0-9]{1,8}),([0-9]{1,8}),([0-9]{1,8}),[0-9a-f]{1,64}")
MOST_LANES = 1 << 24  # in a pack


def wrong_in_runs(table: pa.Table) -> str | None:
    """What a table of planned runs has that this program does not write: `has …`; None if nothing."""
    for name, is_right in COLUMNS.items():
        if name not in table.column_names:
            continue
        if name in MANY and _all_match(table[name], MANY[name]):
            continue
        for value in table[name].unique().to_pylist():
            if not is_right(value):
                return f"has the {name} {_shown(value)}, which this program does not write"
    return _wrong_lanes(table)


def wrong_in_sweep(content: Mapping[str, Any]) -> str | None:
    """What a `sweep.json` has that this program does not write: `has …`; None if nothing."""
    for name, is_right in ENTRIES.items():
        if name in content and not is_right(content[name]):
            return f"has {name} {_shown(content[name])}, which this program does not write"
    return None


def modules_in(text: Any) -> tuple[str, str, dict[str, str]] | None:
    """(the experiment's own file, folder of the copies, SHA-256 by path in it) from `experiment_modules`; None if it is wrong."""
    try:
        content = json.loads(text)
        file, folder, modules = content["file"], content["folder"], content["modules"]
        pairs = [*modules.items()]
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
        return None
    if not isinstance(file, str) or "\0" in file or not _matches(FOLDER, folder):
        return None
    if not all(_is_module(path, folder) and _matches(SHA256, sha256) for path, sha256 in pairs):
        return None
    return file, folder, modules


def _is_module(path: Any, folder: str) -> bool:
    return _matches(MODULE, path) and bool(folder or not PurePosixPath(path).parts[0].startswith(TAKEN))


def _wrong_lanes(table: pa.Table) -> str | None:
    """Lanes that their pack does not have."""
    if not {"lane", "pack_shape"} <= {*table.column_names}:
        return None
    last = table.group_by("pack_shape").aggregate([("lane", "max")])
    for shape, lane in zip(last["pack_shape"].to_pylist(), last["lane_max"].to_pylist()):
        if lane >= int(shape.split(",")[1]):
            return f"has a lane {lane} in a pack of {shape.split(',')[1]}"
    return None


def _all_match(column: pa.ChunkedArray, pattern: re.Pattern[str]) -> bool:
    """Whether every value matches: `_matches` for columns of many values."""
    import pyarrow.compute as pc  # imported with pandas, which is imported when it is used

    if column.type != TEXT or column.null_count:
        return False
    return bool(pc.all(pc.match_substring_regex(column, f"^(?:{pattern.pattern})$"), min_count=0).as_py())


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _or_none(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: value is None or _matches(pattern, value)


def _is_shape(value: Any) -> bool:
    found = SHAPE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    width, size = int(found[1]), int(found[2])
    return 0 < width <= size <= MOST_LANES


def _are_commands(text: Any) -> bool:
    """Whether `asked_by` lists commands."""
    if text is None:
        return True
    try:
        commands = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(commands, list) and all(isinstance(one, dict) and _is_command(one) for one in commands)


def _is_command(command: Mapping[str, Any]) -> bool:
    file, words, seeds = command.get("file"), command.get("set"), command.get("seeds")
    is_path = file is None or (isinstance(file, str) and "\0" not in file)
    return is_path and _is_list(words, str) and (seeds is None or type(seeds) is int)


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _are_widths(value: Any) -> bool:
    return isinstance(value, dict) and all(
        PACK_NAME.fullmatch(name) and type(width) is int and 0 < width <= MOST_LANES for name, width in value.items()
    )


def _are_sizes(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(sizes, dict) and all(type(size) is int for size in sizes.values()) for sizes in value.values()
    )


def _is_halving(value: Any) -> bool:
    if value is None:
        return True
    try:
        Halving(tuple(value["rungs"]), value["keep"], value["metric"]).check()
    except (TypeError, LookupError, RequestError):
        return False
    return True


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) < 60 else f"{text[:57]}…")


MANY = {"run_id": RUN_ID, "pack": PACK_NAME}
COLUMNS: dict[str, Callable[[Any], bool]] = {
    **{name: functools.partial(_matches, pattern) for name, pattern in MANY.items()},
    "lane": lambda value: type(value) is int and 0 <= value < MOST_LANES,
    "pack_shape": _is_shape,
    "experiment": _or_none(COPY),
    "experiment_sha256": _or_none(SHA256),
    "experiment_modules": lambda value: value is None or modules_in(value) is not None,
    "asked_by": _are_commands,
    "measured": lambda value: value is None or isinstance(value, str),
}
ENTRIES: dict[str, Callable[[Any], bool]] = {
    "widths": _are_widths,
    "narrowed": _are_widths,
    "chosen": lambda value: isinstance(value, dict),
    "examples": _are_sizes,
    "begun": lambda value: isinstance(value, str),
    "experiment": _or_none(COPY),
    "halving": _is_halving,
}
