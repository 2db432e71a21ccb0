"""Writes experiments/README.md: what each experiment asks, its picture, its verdict, and how to repeat it.

    .venv/bin/python scripts/write_gallery.py            writes the page, and the verdicts in docs/results.md
    .venv/bin/python scripts/write_gallery.py --check    writes nothing; exit status 1 if one of them is out of date

Questions and sources stand in the experiments' docstrings; verdicts, numbers and pictures are those that
`lanes reproduce NAME --record` has recorded beside them.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lanes.results.reproducing import GROUPS, Experiment, find, question, read_record, stated
from lanes.results.verdicts import shown

FOLDER = Path(__file__).resolve().parents[1] / "experiments"
RESULTS = FOLDER.parent / "docs" / "results.md"
MARKS = ("<!-- written by scripts/write_gallery.py -->", "<!-- end of what it writes -->")
TITLES = {"claims": "Claims of introductory lectures", "papers": "Published tables"}
HEADER = """# Experiments

Each file asks a question, trains what answers it, and judges the answer by code: `verdict(results)` of the file. Numbers
have 95% intervals over n seeds. `.venv/bin/lanes reproduce claims` runs all claims again and compares them with what is
recorded here; a name in place of `claims` runs one. `.venv/bin/python scripts/write_gallery.py` writes this page.
"""


def page(folder: Path = FOLDER) -> str:
    """The whole page."""
    parts = [HEADER]
    for group in GROUPS:
        experiments = find([group], folder)
        if experiments:
            parts += [f"## {TITLES[group]}", "", contents(experiments), ""]
            parts += [entry(one, folder) for one in experiments]
    return "\n".join(parts)


def contents(experiments: list[Experiment]) -> str:
    """A line for each experiment: its question and its verdict."""
    lines = ["| question | verdict |", "|---|---|"]
    for one in experiments:
        recorded = read_record(one.recorded).outcome if one.recorded.is_file() else "not recorded yet"
        lines.append(f"| [{question(one.module)}](#{one.name}) | {recorded} |")
    return "\n".join(lines)


def verdicts(folder: Path = FOLDER) -> str:
    """A table of all that is recorded: the question, the outcome and why, and the published value."""
    lines = ["| question | measured | published |", "|---|---|---|"]
    for one in (each for group in GROUPS for each in find([group], folder) if each.recorded.is_file()):
        found = read_record(one.recorded)
        link = f"[{cell(question(one.module))}](../experiments/README.md#{one.name})"
        published = cell(stated(one.module, "Published"))
        lines.append(f"| {link} | **{str(found.outcome).capitalize()}**: {cell(found.sentence)} | {published} |")
    return "\n".join(lines)


def with_verdicts(text: str) -> str:
    """docs/results.md with what is recorded between its marks."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{verdicts()}\n\n{MARKS[1]}{after}"


def cell(text: str) -> str:
    """A text in a cell of a table."""
    return text.replace("|", "\\|")


def entry(experiment: Experiment, folder: Path) -> str:
    """One experiment."""
    lines = [f"### {experiment.name}", "", f"**{question(experiment.module)}**", ""]
    if experiment.recorded.is_file():
        verdict = read_record(experiment.recorded)
        made: dict[str, Any] = json.loads(experiment.recorded.read_text(encoding="utf-8"))
        if experiment.picture.is_file():
            lines += [f"![{experiment.name}]({experiment.picture.relative_to(folder).as_posix()})", ""]
        lines += [f"**{str(verdict.outcome).capitalize()}**: {verdict.sentence}.", ""]
        lines += ["| measured | value |", "|---|---|"]
        lines += [f"| {cell(name)} | {cell(shown(number))} |" for name, number in verdict.numbers.items()]
        beside = f", beside one {made['beside']}" if "beside" in made else ""
        lines += ["", f"{made['seconds']:.0f} s of processor time{beside}, on {made['date']} ({made['by']})."]
    for label in ("Needs", "Published", "Source"):
        if text := stated(experiment.module, label):
            lines.append(f"{label}: {text}")
    path = f"experiments/{experiment.file.relative_to(folder).as_posix()}"
    return "\n".join(
        [*lines, f"[{path}]({experiment.file.relative_to(folder).as_posix()}): `lanes reproduce {experiment.name}`", ""]
    )


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the page is out of date")
    check = parser.parse_args().check
    for path, text in ((FOLDER / "README.md", page()), (RESULTS, with_verdicts(RESULTS.read_text(encoding="utf-8")))):
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is out of date: run .venv/bin/python scripts/write_gallery.py")


if __name__ == "__main__":
    main()
