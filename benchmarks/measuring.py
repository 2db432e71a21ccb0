"""Repetitions taken in turn; their medians and ranges as a Markdown table and as JSON."""

import dataclasses
import importlib.metadata
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax

from lanes.errors import RequestError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")


@dataclasses.dataclass(frozen=True)
class Sample:
    """One repetition: its value in the table's unit, and the cells of extra columns."""

    value: float
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of doing the work.

    Attributes:
        name: its row in the table.
        once: measures it once.
        warm: whether to run it once uncounted first, for compilations, imports and caches.
    """

    name: str
    once: Callable[[], Sample | float]
    warm: bool = True


@dataclasses.dataclass
class Row:
    """The repetitions of one way; if one failed, `failure` has its error in one line."""

    name: str
    values: list[float] = dataclasses.field(default_factory=list)
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    failure: str = ""

    @property
    def median(self) -> float:
        """NaN if every repetition failed."""
        return statistics.median(self.values) if self.values else float("nan")


@dataclasses.dataclass
class Table:
    """A benchmark's result.

    Attributes:
        name: the benchmark's.
        unit: of the values; smaller is better.
        rows: one per way.
        reference: the row that ratios are relative to; None leaves ratios out.
        notes: lines below the table that say what was measured and how.
        facts: further numbers for the JSON line.
    """

    name: str
    unit: str
    rows: list[Row]
    reference: str | None = None
    notes: list[str] = dataclasses.field(default_factory=list)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of a way."""
        return next(row for row in self.rows if row.name == name)

    def ratio(self, row: Row) -> float:
        """The row's time relative to the reference's: the median of the ratios of single turns.

        Within a turn both see the same load on the machine. If a turn failed, the ratio of the medians.
        """
        if not self.reference:
            return float("nan")
        reference = self.row(self.reference)
        if not row.values or len(row.values) != len(reference.values):
            return row.median / reference.median
        return statistics.median(value / other for value, other in zip(row.values, reference.values))

    def markdown(self) -> str:
        """The table with its notes, in Markdown."""
        extra = list(dict.fromkeys(name for row in self.rows for name in row.columns))
        ratios = ["ratio"] if self.reference else []
        head = ["way", f"{self.unit}, median", "min–max", "n", *ratios, *extra]
        lines = [_line(head), "|---|" + "---:|" * (len(head) - 1)]
        for row in self.rows:
            spread = f"{figure(min(row.values))}–{figure(max(row.values))}" if row.values else "-"
            ratio = [figure(self.ratio(row))] if self.reference else []
            cells = [figure(row.median), spread, len(row.values), *ratio, *(row.columns.get(n, "-") for n in extra)]
            lines.append(_line([row.name + (f" ({row.failure})" if row.failure else ""), *cells]))
        reference = (
            [f"Ratios are relative to “{self.reference}”: the median of the ratios of single turns."]
            if self.reference
            else []
        )
        return "\n".join([*lines, "", *(f"- {note}" for note in (*reference, *self.notes))])

    def json(self) -> dict[str, Any]:
        """The table as plain values for JSON."""
        rows = [
            {**dataclasses.asdict(row), "median": row.median, **({"ratio": self.ratio(row)} if self.reference else {})}
            for row in self.rows
        ]
        return plain({**dataclasses.asdict(self), "rows": rows, "benchmark": self.name})


def interleaved(ways: Iterable[Way], repeats: int) -> list[Row]:
    """A row for each way, measured in turn (A B A B …), so that other load on the machine affects all of them alike.

    Args:
        ways: in the order of the table.
        repeats: counted repetitions.
    """
    ways = list(ways)
    rows = [Row(way.name) for way in ways]
    for turn in range(-1, repeats):
        for way, row in zip(ways, rows):
            if row.failure or (turn < 0 and not way.warm):
                continue
            say(f"{'warming' if turn < 0 else f'{turn + 1}/{repeats}'}: {way.name}")
            try:
                sample = way.once()
            except Exception as error:  # a way that runs out of memory must not end the others
                row.failure = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]:.120}"
                say(f"failed: {way.name}: {row.failure}")
                continue
            sample = sample if isinstance(sample, Sample) else Sample(sample)
            row.columns |= sample.columns
            if turn >= 0:
                row.values.append(sample.value)
    return rows


def say(line: str) -> None:
    """Print a line of progress to standard error; results go to standard output."""
    print(line, file=sys.stderr, flush=True)


def figure(value: float) -> str:
    """Three significant figures, without an exponent."""
    if value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plain(value: Any) -> Any:
    """The value as JSON takes it: NaN becomes null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def machine() -> dict[str, Any]:
    """The machine and the versions of the packages."""
    devices = jax.local_devices()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "devices": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def put_between(page: Path, marker: str, text: str) -> None:
    """Replace the text between `<!-- marker -->` and `<!-- /marker -->` of a page.

    Raises RequestError if the page has no such markers.
    """
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    content = page.read_text(encoding="utf-8") if page.exists() else ""
    if begin not in content or end not in content.split(begin, 1)[1]:
        raise RequestError(f"{page} has no {begin} … {end}: add the two markers where the table belongs")
    before, rest = content.split(begin, 1)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
