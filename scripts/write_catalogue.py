"""Writes docs/catalogue.md: every name that a run can use, with its formula and reference, from the tables themselves.

    .venv/bin/python scripts/write_catalogue.py            writes the page
    .venv/bin/python scripts/write_catalogue.py --check    writes nothing; exit status 1 if the page is out of date

An entry's row comes from its docstring (`lanes.describe.catalogue`). The text between the page's two cost markers is written
by a benchmark and is kept.
"""

import argparse
import difflib
import sys
from pathlib import Path

from lanes.describe.catalogue import Entry, entries, tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "catalogue.md"

COSTS_START, COSTS_END = "<!-- costs -->", "<!-- /costs -->"
COSTS_EMPTY = "\n\nNot measured yet.\n\n"

HEADER = """# Catalogue

Every name that a run can use. `.venv/bin/python scripts/write_catalogue.py` writes this page from the tables and docstrings: edit
those instead. A name stands for the defaults shown; for other values write a description, `LeakyReLU(slope=0.1)`.

Every activation with its derivative, drawn by `.venv/bin/python scripts/figures/activations.py`:

![activations and their derivatives](activations.png)
"""


def cell(text: str) -> str:
    """Text escaped for a cell of a Markdown table."""
    spans = text.split("`")  # every second span is code, where only `|` needs escaping
    spans[::2] = [s.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;") for s in spans[::2]]
    return "`".join(spans).replace("|", "\\|") or "-"


def section(title: str, rows: list[Entry]) -> str:
    """A table of the page."""
    lines = [
        f"| `{row.name}` | {cell(row.what)} | {cell(row.formula)} | {as_code(row.defaults)} | {cell(row.reference)} |"
        for row in rows
    ]
    head = ["| name | what | formula | defaults | reference |", "|---|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *head, *lines]) + "\n"


def as_code(defaults: str) -> str:
    """A description between backquotes; a metric's direction, which is no code, as it is."""
    return f"`{defaults}`" if "(" in defaults else defaults or "-"


def costs(page: str) -> str:
    """The text between the page's cost markers, or a placeholder."""
    if COSTS_START not in page or COSTS_END not in page:
        return COSTS_EMPTY
    return page.split(COSTS_START, 1)[1].split(COSTS_END, 1)[0]


def catalogue(current: str) -> str:
    """The new page, with the costs of the current one."""
    parts = [HEADER, *(section(title, entries(name)) for name, title in tables().items())]
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
