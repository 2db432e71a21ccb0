"""HTML building blocks. Everything on a page passes through `escape` or `as_json`."""

import html
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lanes.errors import printable

PAGE = Path(__file__).with_name("page")
SCRIPTS = (
    "data",
    "numbers",
    "filter",
    "combinations",
    "elements",
    "scales",
    "chart",
    "figures",
    "effects",
    "curves",
    "pairs",
    "parallel",
    "leaderboard",
    "main",
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"  # no network


class Markup(str):
    """Text that is already HTML; adding other text escapes it."""

    __slots__ = ()

    def __add__(self, other: object) -> "Markup":
        return Markup(str(self) + str(escape(other)))


NOTHING = Markup("")


def together(*parts: object) -> Markup:
    """The parts joined, each escaped unless it is `Markup`."""
    return Markup("".join(escape(part) for part in parts))


def escape(value: object) -> Markup:
    """A value as HTML, with control characters as escapes; `Markup` stays as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(printable(str(value))))


def table(
    header: Sequence[object], rows: Iterable[Sequence[object]], numeric: Iterable[int] = (), classes: str = ""
) -> Markup:
    """A table; the columns at the indices `numeric` are aligned right."""
    right = set(numeric)

    def line(cells: Sequence[object], tag: str) -> str:
        kinds = [' class="number"' if index in right else "" for index in range(len(cells))]
        inside = "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))
        return f"<tr>{inside}</tr>"

    head, body = line(header, "th"), "".join(line(row, "td") for row in rows)
    inside = f'<table class="{classes}"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return Markup(f'<div class="scroll">{inside}</div>')


def figure(spec: dict[str, Any], caption: object = "", classes: str = "") -> Markup:
    """A figure as JSON (`plotting`), which the page's script draws; the caption names it for readers of screens."""
    height = int(spec["layout"]["height"])
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return Markup(
        f'<figure class="{classes}"><div class="plot" style="min-height:{height}px"></div>'
        f'<script type="application/json">{as_json(spec)}</script>{note}</figure>'
    )


def live(kind: str, height: int = 0, inside: Markup = NOTHING, **options: Any) -> Markup:
    """A place that the page's script fills from the runs that the filter keeps: a figure or table of a kind it knows.

    Args:
        kind: the script's name for it.
        height: in pixels, to be kept free.
        inside: what stands there without the script.
        options: for the script.
    """
    given = f' data-options="{html.escape(as_json(options))}"' if options else ""
    room = f' style="min-height:{height}px"' if height else ""
    return Markup(f'<div class="live {kind}" data-live="{kind}"{given}{room}>{inside}</div>')


def literal(text: str, classes: str = "") -> Markup:
    """Text whose line breaks and spaces stay as they are."""
    inside = "\n".join(escape(line) for line in text.splitlines())
    return Markup(f'<pre class="{classes}">{inside}</pre>')


def paragraph(text: object, classes: str = "") -> Markup:
    """A paragraph; empty for empty text."""
    return Markup(f'<p class="{classes}">{escape(text)}</p>') if text else Markup("")


def fact_list(items: dict[str, Any]) -> Markup:
    """Names above their values, side by side."""
    inside = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in items.items())
    return Markup(f'<dl class="facts">{inside}</dl>')


def section(anchor: str, title: str, *parts: object) -> Markup:
    """A titled section; empty if all parts are empty."""
    inside = together(*parts)
    return Markup(f'<section id="{anchor}"><h2>{escape(title)}</h2>{inside}</section>') if inside else Markup("")


def as_json(value: Any) -> str:
    """JSON that is safe inside a script element: no `<`, `>` or `&`; numbers to six digits, null if not finite."""
    text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return None if value is None else printable(str(value))


def document(title: str, header: Markup, contents: Sequence[tuple[str, str]], body: Iterable[Markup], data: str) -> str:
    """The whole page with style, script and data inside, so that it loads nothing.

    Args:
        title: of the window.
        header: above the sections.
        contents: anchors and names of the sections.
        body: the sections.
        data: for the script, as of `columns.packed`.
    """
    links = "".join(f'<a href="#{anchor}">{escape(name)}</a>' for anchor, name in contents)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{(PAGE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<nav aria-label="Sections">{links}</nav>
<main>
{header}
{"".join(body)}
</main>
<script type="text/plain" id="data">{data}</script>
<script>{script()}</script>
</body>
</html>
"""


def script() -> str:
    """The page's script: the files in the order of `SCRIPTS`, in one scope of their own."""
    parts = [(PAGE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(function () {\n' + "\n".join(parts) + "})();\n"
