"""Tables for papers as LaTeX (booktabs), Markdown and CSV."""

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from lanes.errors import printable
from lanes.reporting.paper_tables import Cell, PaperTable

FORMATS = ("latex", "markdown", "csv")

# Characters that LaTeX interprets, or sets as others in its oldest encoding.
TEXT = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}"}
TEXT |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "—": "---", "…": r"\ldots{}"}
TEXT |= {character: f"\\{character}" for character in "&%$#_{}"}
# Characters that pdfLaTeX lacks in text.
LETTERS = re.findall(
    r"\w+",
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi o pi rho varsigma sigma tau upsilon phi chi "
    "psi omega",
)
CAPITALS = ("gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega")
MATH = {chr(ord("α") + at): name if name == "o" else f"\\{name}" for at, name in enumerate(LETTERS)}
MATH |= {chr(ord("Α") + LETTERS.index(name)): f"\\{name.capitalize()}" for name in CAPITALS}
MATH |= {"±": r"\pm", "−": "-", "×": r"\times", "·": r"\cdot", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "≈": r"\approx"}
MATH |= {"→": r"\rightarrow", "←": r"\leftarrow", "∞": r"\infty", "µ": r"\mu", "²": "^2", "³": "^3", "∈": r"\in"}
TEXT |= {character: f"${name}$" for character, name in MATH.items()}

EXPONENT = re.compile(r"(-?)(\d+(?:\.\d+)?)e([+-]?\d+)")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def written(tables: Sequence[PaperTable], form: str) -> str:
    """Tables in one of `FORMATS`, with a line break at the end."""
    if form == "csv":
        return csv(tables)
    one = latex if form == "latex" else markdown
    return "\n".join(one(table) for table in tables)


# ---- LaTeX ---------------------------------------------------------------------------------------------------------


def latex(table: PaperTable) -> str:
    r"""A `table` environment, which needs `\usepackage{booktabs}`."""
    columns = "".join("r" if at in table.numeric else "l" for at in range(len(table.header)))
    head = [_latex_row([Cell(name) for name in table.header])]
    if table.over:
        span = len(table.header) - 1
        head = [rf"& \multicolumn{{{span}}}{{c}}{{{escaped(table.over)}}} \\", rf"\cmidrule(l){{2-{span + 1}}}", *head]
    inside = [r"\toprule", *head, r"\midrule", *map(_latex_row, table.rows), r"\bottomrule"]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escaped(' '.join(table.caption))}}}",
        f"  \\label{{tab:{slug(table.title)}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        *(f"    {line}" for line in inside),
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[Cell]) -> str:
    texts = [rf"\textbf{{{_latex_cell(cell.text)}}}" if cell.bold else _latex_cell(cell.text) for cell in cells]
    return " & ".join(texts) + r" \\"


def _latex_cell(text: str) -> str:
    r"""A cell; numbers with an exponent as `$3 \times 10^{-5}$`, and a first minus as such."""
    if match := EXPONENT.fullmatch(text):
        sign, number, power = match.groups()
        times = "" if number == "1" else rf"{number} \times "
        return f"${sign}{times}10^{{{int(power)}}}$"
    if text[:1] == "-" and text[1:2].isdigit():
        return f"$-${escaped(text[1:])}"
    if text[:1] == "[":
        return f"{{}}{escaped(text)}"  # after \\ it would be an argument
    return escaped(text)


def escaped(text: str) -> str:
    """Text for LaTeX, with control characters as escapes."""
    found = "".join(TEXT.get(character, character) for character in printable(text))
    return found.replace("--", "-{}-") if "--" in text else found


def slug(text: str) -> str:
    """Text as a part of a label or a file's name: lower-case letters, digits and `-`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


# ---- Markdown and CSV ----------------------------------------------------------------------------------------------


def markdown(table: PaperTable) -> str:
    """The caption as a paragraph, then a table."""
    head = table.header
    if table.over:
        head = [f"{head[0]} ↓ {table.over} →", *head[1:]]
    rule = ["---:" if at in table.numeric else "---" for at in range(len(head))]
    lines = [_markdown_row(map(_plain, head)), _markdown_row(rule)]
    lines += [
        _markdown_row(f"**{_plain(cell.text)}**" if cell.bold else _plain(cell.text) for cell in row)
        for row in table.rows
    ]
    return f"{_plain(' '.join(table.caption))}\n\n" + "\n".join(lines) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", printable(text))


def csv(tables: Sequence[PaperTable]) -> str:
    """Numbers in full, below each other where there are several tables; the first line names the columns."""
    found = pd.concat([table.data for table in tables], ignore_index=True)
    return str(found.rename(columns=spreadsheet_text).map(spreadsheet_text).to_csv(index=False, lineterminator="\n"))


def spreadsheet_text(cell: object) -> object:
    """A text with control characters as escapes and, where a spreadsheet would run it as a formula, an apostrophe before it."""
    if not isinstance(cell, str):
        return cell
    return printable(f"'{cell}" if cell.lstrip().startswith(("=", "+", "-", "@")) else cell)
