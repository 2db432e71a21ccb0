"""The tables of names as text: what each entry is, its formula, its defaults and its source, read from the docstrings.

The first line of a docstring says what the entry is; the formula and the reference follow `Formula:` and `Reference:` at the
start of a line, up to the next blank line or label.
"""

import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from lanes.errors import unknown
from losses import Metric

# Title, module, attribute, in the order of docs/catalogue.md; a table is imported when it is asked for.
TABLES = (
    ("Activations", "nets.activations", "ACTIVATIONS"),
    ("Initializers", "nets.initializers", "INITIALIZERS"),
    ("Losses", "losses.pairs", "LOSSES"),
    ("Output units", "losses.outputs", "OUTPUT_UNITS"),
    ("Metrics", "losses.metrics", "METRICS"),
    ("Metrics that only evaluation computes", "losses.metrics", "ONLY_EVALUATED"),
    ("Penalties", "losses.penalties", "PENALTIES"),
    ("Normalizations", "nets.normalization", "NORMALIZATIONS"),
    ("Optimizers", "lanes.recipe.optimizers", "OPTIMIZERS"),
    ("Schedules", "lanes.recipe.schedules", "SCHEDULES"),
    ("Averages of the iterates", "lanes.recipe.averages", "AVERAGES"),
    ("Tasks", "lanes.recipe.tasks", "TASKS"),
    ("Learning rules", "lanes.recipe.rules", "RULES"),
    ("Augmentation and noise", "lanes.recipe.augmentations", "AUGMENTATIONS"),
    ("Nets", "nets", "NETS"),
    ("Data sets", "lanes.data.loading", "DATASETS"),
)
LABEL = re.compile(r"^([A-Z]\w*):(?: |$)")


class Entry(NamedTuple):
    """A name that a run can use.

    Attributes:
        name: in its table.
        what: what it is, in one sentence.
        formula: what it computes; may be empty.
        defaults: the description that the name stands for, as code; empty for a function.
        reference: its source; may be empty.
        docstring: all of its documentation.
    """

    name: str
    what: str
    formula: str
    defaults: str
    reference: str
    docstring: str


def tables() -> dict[str, str]:
    """The title of each table by its name: "activations", "output_units"."""
    return {attribute.lower(): title for title, _, attribute in TABLES}


def table(name: str) -> Mapping[str, Any]:
    """A table by its name. Raises RequestError for an unknown one."""
    for _, module, attribute in TABLES:
        if attribute.lower() == name:
            found: Mapping[str, Any] = getattr(importlib.import_module(module), attribute)
            return found
    raise unknown("table", name, tables())


def entries(name: str) -> list[Entry]:
    """The entries of a table, in its order. Raises RequestError for an unknown one."""
    return [_entry(key, value) for key, value in table(name).items()]


def _entry(name: str, value: Any) -> Entry:
    docstring = inspect.cleandoc(documented(value).__doc__ or "")
    what = docstring.splitlines()[0] if docstring else ""
    return Entry(
        name, what, labelled(docstring, "Formula"), defaults(value), labelled(docstring, "Reference"), docstring
    )


def documented(entry: Any) -> Any:
    """The object with an entry's docstring: a function, a class, or the class of a description."""
    if isinstance(entry, functools.partial):
        return documented(entry.func)
    if isinstance(entry, Metric):
        return entry.function
    return entry if inspect.isroutine(entry) or inspect.isclass(entry) else type(entry)


def labelled(docstring: str, label: str) -> str:
    """The text after `label:` in a docstring, its lines joined, or an empty string."""
    parts: list[str] = []
    for line in docstring.splitlines():
        match = LABEL.match(line)
        if match and match[1] == label:
            parts = [line[match.end() :]]
        elif parts and (match or not line.strip()):
            break
        elif parts:
            parts.append(line)
    return " ".join(" ".join(parts).split())


def defaults(entry: Any) -> str:
    """An entry as code: a description with its fields, a net with those that differ from its class; empty for a function.

    For a metric, which direction is better.
    """
    if isinstance(entry, Metric):
        return {True: "higher is better", False: "lower is better", None: ""}[entry.higher_is_better]
    if not dataclasses.is_dataclass(entry) or isinstance(entry, type):
        return ""
    fields = [f for f in dataclasses.fields(entry) if f.repr]
    if isinstance(entry, nn.Module):
        fields = [f for f in fields if f.name not in ("parent", "name") and getattr(entry, f.name) != f.default]
    return f"{type(entry).__name__}({', '.join(f'{f.name}={getattr(entry, f.name)!r}' for f in fields)})"
