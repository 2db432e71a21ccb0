"""Results of commands as JSON for other programs: one document on standard output and nothing else there."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from lanes.errors import say


def say_json(document: Any) -> None:
    """Print a document as strict JSON.

    A number that is not finite or missing is null; named tuples are objects; descriptions and other values stand as their
    text.
    """
    for line in json.dumps(plain(document), ensure_ascii=True, allow_nan=False, indent=2).splitlines():
        say(line)


def plain(value: Any) -> Any:
    """A value made of what JSON has."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if missing(value) else str(value)


def missing(value: Any) -> bool:
    """Whether a table's cell is empty: pandas' NA and NaT are unequal to everything, themselves included, or refuse to say."""
    try:
        return bool(value != value)
    except TypeError:
        return True
