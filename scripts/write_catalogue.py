"""Writes docs/catalogue.md: every name that a run can use, with its formula and reference, from the tables themselves.

    .venv/bin/python scripts/write_catalogue.py            writes the page
    .venv/bin/python scripts/write_catalogue.py --check    writes nothing; exit status 1 if the page is not what would be written

What an entry's docstring says goes into the page by this convention: the first line is the summary; a line that begins
with `Formula:` and one that begins with `Reference:`, each up to the next blank line or label. What stands between the
two cost markers of the page is kept by hand (or by a benchmark) and survives.
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

# Title, module, attribute. The order is the page's.
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

Every name that a run can use, made from the tables and docstrings by `.venv/bin/python scripts/write_catalogue.py`: change those,
not this page. A name stands for the defaults shown; other values are given as a description, `LeakyReLU(slope=0.1)`.

All activations with their derivatives, drawn by `.venv/bin/python scripts/figures/activations.py`:

![activations and their derivatives](activations.png)
"""


def table(module: str, attribute: str) -> Mapping[str, Any] | None:
    """The table, or None where the module or the table does not exist (a module that is broken inside still raises)."""
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise


def documented(entry: Any) -> Any:
    """What carries the docstring of an entry: a function or class, or the class of a description."""
    if isinstance(entry, functools.partial):
        return documented(entry.func)
    if isinstance(entry, Metric):
        return entry.function
    return entry if inspect.isroutine(entry) or inspect.isclass(entry) else type(entry)


def labelled(doc: str, label: str) -> str:
    """The text after `label:` in a docstring, its lines joined; empty if there is none."""
    found: list[str] = []
    for line in doc.splitlines():
        match = LABEL.match(line)
        if match and match[1] == label:
            found = [line[match.end() :]]
        elif found and (match or not line.strip()):
            break
        elif found:
            found.append(line)
    return " ".join(" ".join(found).split())


def defaults(entry: Any) -> str:
    """The description with its fields (a net: those that differ from its class), as one would write it; empty for a function."""
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
    """Text as it survives in a Markdown table."""
    spans = text.split("`")  # every second one is code, where only the column separator has a meaning
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
    """What stands between the cost markers of the present page, or a placeholder."""
    if COSTS_START not in page or COSTS_END not in page:
        return COSTS_EMPTY
    return page.split(COSTS_START, 1)[1].split(COSTS_END, 1)[0]


def catalogue(present: str) -> str:
    """The page, with the costs of the present one."""
    parts = [HEADER]
    for title, module, attribute in TABLES:
        entries = table(module, attribute)
        if entries is None:
            print(f"left out: {module}.{attribute} does not exist", file=sys.stderr)
            continue
        parts.append(section(title, entries))
    parts.append(f"## What it costs\n\n{COSTS_START}{costs(present)}{COSTS_END}\n")
    return "\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is not current")
    arguments = parser.parse_args()
    present = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    wanted = catalogue(present)
    if not arguments.check:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if present == wanted:
        return 0
    changes = difflib.unified_diff(
        present.splitlines(), wanted.splitlines(), "on disk", "from the tables", n=0, lineterm=""
    )
    print("\n".join(list(changes)[:20]), file=sys.stderr)
    print(f"docs/{PAGE.name} is not current: run .venv/bin/python scripts/write_catalogue.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
