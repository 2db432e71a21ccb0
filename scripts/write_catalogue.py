"""Writes docs/catalogue.md: every name that a run can use, with its formula and reference, from the tables themselves.

    .venv/bin/python scripts/write_catalogue.py            writes the page
    .venv/bin/python scripts/write_catalogue.py --check    writes nothing; exit status 1 if the page is out of date

An entry's row comes from its docstring: the first line is the summary; the formula and the reference follow `Formula:` and
`Reference:` at the start of a line, up to the next blank line or label. The text between the page's two cost markers is
written by a benchmark and is kept.
"""

import argparse
import dataclasses
import difflib
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn

from losses import Metric

PAGE = Path(__file__).resolve().parent.parent / "docs" / "catalogue.md"

# Title, module, attribute, in the order of the page.
TABLES = [
    ("Activations", "nets.activations", "ACTIVATIONS"),
    ("Initializers", "nets.initializers", "INITIALIZERS"),
    ("Losses", "losses.pairs", "LOSSES"),
    ("Output units", "losses.outputs", "OUTPUT_UNITS"),
    ("Metrics", "losses.metrics", "METRICS"),
    ("Metrics of a whole set", "losses.metrics", "SET_METRICS"),
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
]

COSTS_START, COSTS_END = "<!-- costs -->", "<!-- /costs -->"
COSTS_EMPTY = "\n\nNot measured yet.\n\n"
LABEL = re.compile(r"^([A-Z]\w*):(?: |$)")

HEADER = """# Catalogue

Every name that a run can use. `.venv/bin/python scripts/write_catalogue.py` writes this page from the tables and docstrings: edit
those instead. A name stands for the defaults shown; for other values write a description, `LeakyReLU(slope=0.1)`.

Every activation with its derivative, drawn by `.venv/bin/python scripts/figures/activations.py`:

![activations and their derivatives](activations.png)
"""


def table(module: str, attribute: str) -> Mapping[str, Any] | None:
    """The table, or None if its module or name does not exist. A module that fails to import still raises."""
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise


def documented(entry: Any) -> Any:
    """The object with an entry's docstring: a function, a class, or the class of a description."""
    if isinstance(entry, functools.partial):
        return documented(entry.func)
    if isinstance(entry, Metric):
        return entry.function
    return entry if inspect.isroutine(entry) or inspect.isclass(entry) else type(entry)


def labelled(doc: str, label: str) -> str:
    """The text after `label:` in a docstring, its lines joined, or an empty string."""
    parts: list[str] = []
    for line in doc.splitlines():
        match = LABEL.match(line)
        if match and match[1] == label:
            parts = [line[match.end() :]]
        elif parts and (match or not line.strip()):
            break
        elif parts:
            parts.append(line)
    return " ".join(" ".join(parts).split())


def defaults(entry: Any) -> str:
    """An entry as code: a description with its fields, a net with those that differ from its class; empty for a function."""
    if isinstance(entry, Metric):
        return {True: "higher is better", False: "lower is better", None: ""}[entry.higher_is_better]
    if not dataclasses.is_dataclass(entry) or isinstance(entry, type):
        return ""
    fields = [f for f in dataclasses.fields(entry) if f.repr]
    if isinstance(entry, nn.Module):
        fields = [f for f in fields if f.name not in ("parent", "name") and getattr(entry, f.name) != f.default]
    values = ", ".join(f"{f.name}={getattr(entry, f.name)!r}" for f in fields)
    return f"`{type(entry).__name__}({values})`"


def cell(text: str) -> str:
    """Text escaped for a cell of a Markdown table."""
    spans = text.split("`")  # every second span is code, where only `|` needs escaping
    spans[::2] = [s.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;") for s in spans[::2]]
    return "`".join(spans).replace("|", "\\|") or "-"


def section(title: str, entries: Mapping[str, Any]) -> str:
    rows = []
    for name, entry in entries.items():
        doc = inspect.cleandoc(documented(entry).__doc__ or "")
        summary = doc.splitlines()[0] if doc else ""
        words = [cell(text) for text in (summary, labelled(doc, "Formula"), labelled(doc, "Reference"))]
        rows.append(f"| `{name}` | {words[0]} | {words[1]} | {defaults(entry) or '-'} | {words[2]} |")
    head = ["| name | what | formula | defaults | reference |", "|---|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *head, *rows]) + "\n"


def costs(page: str) -> str:
    """The text between the page's cost markers, or a placeholder."""
    if COSTS_START not in page or COSTS_END not in page:
        return COSTS_EMPTY
    return page.split(COSTS_START, 1)[1].split(COSTS_END, 1)[0]


def catalogue(current: str) -> str:
    """The new page, with the costs of the current one."""
    parts = [HEADER]
    for title, module, attribute in TABLES:
        entries = table(module, attribute)
        if entries is None:
            print(f"left out: {module}.{attribute} does not exist", file=sys.stderr)
            continue
        parts.append(section(title, entries))
    parts.append(f"## What it costs\n\n{COSTS_START}{costs(current)}{COSTS_END}\n")
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is out of date")
    arguments = parser.parse_args()
    current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    generated = catalogue(current)
    if not arguments.check:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(generated, encoding="utf-8")
        return 0
    if current == generated:
        return 0
    changes = difflib.unified_diff(
        current.splitlines(), generated.splitlines(), "on disk", "from the tables", n=0, lineterm=""
    )
    print("\n".join(list(changes)[:20]), file=sys.stderr)
    print(f"docs/{PAGE.name} is out of date: run .venv/bin/python scripts/write_catalogue.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
