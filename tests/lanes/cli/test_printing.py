"""Nothing that a name, a value, a path or a file can hold reaches the terminal, the page or a CSV file as a control character."""

import ast
import io
import json
import os
import shlex
import subprocess
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import lanes
from lanes.cli import command, evaluate, report, train
from lanes.engine.options import Outcome
from lanes.errors import RequestError, printable, say, unknown, warn
from lanes.reporting import pages
from lanes.reporting.markup import as_json, escape
from lanes.results.axes import swept_axes
from lanes.results.evaluation import Evaluation
from lanes.results.leaderboard import ranking
from lanes.results.printed_evaluation import print_evaluation
from lanes.results.printed_leaderboard import print_leaderboard
from lanes.storage.directory import Directory

CHECKOUT = Path(__file__).parents[3]
# Colours, a cleared screen, a title, a cursor in the line above, C1 codes, right-to-left overrides, and ends of lines.
NASTY = ["\x1b[31mred", "\x1b[2J", "\x1b]0;title\x07", "a\rb", "a\nb", "\x9b31m", "\x85", "\u202eevil", "\u2066x\u2069"]
NASTY += [
    "\u2028",
    "\x00",
    "\x7f",
    "\x08\x08",
    "=cmd|'/c calc'!A0",
    " \t=1+1",
    "[bold]markup[/bold]",
    "\ufeff",
    "\ud800",
]
texts = st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=12))
encodable = texts.filter("\ud800".__ne__)  # a table holds no half of a surrogate pair


def is_harmless(text: str) -> bool:
    """Whether a text has no control, format or separator character but ends of lines."""
    return all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_printable_text_is_one_line_that_says_which_characters_it_had(text):
    shown = printable(text)
    assert is_harmless(shown)
    assert "\n" not in shown
    assert (shown == text) == text.isprintable()
    assert is_harmless(str(RequestError(text)) + str(unknown("net", text, ["MLP"])))
    assert is_harmless(str(escape(text)))
    assert is_harmless(as_json({text: [text]}))


def table_with(text: str) -> pd.DataFrame:
    """Results of four runs in the form of `lanes.load`, which differ in `text`."""
    rows = []
    for seed in range(2):
        for name, value in ((text, 0.5), ("plain", 0.25)):
            row = {
                "run_id": f"{seed}{value}",
                "status": "done",
                "data": text,
                "activation": name,
                "net": "MLP",
                "seed": seed,
            }
            row |= {
                "net.name": text,
                "train_loss": 0.1,
                "valid_loss": value + seed / 8,
                "epochs_done": 3,
                "seconds": 0.1,
            }
            rows.append({**row, f"valid_{text}": value, "evaluated_on": f"{text} test", f"evaluated_{text}": value})
    return pd.DataFrame(rows)


@settings(max_examples=8, deadline=None)
@given(encodable)
def test_printed_tables_hold_no_control_character(text):
    table = table_with(text)
    for terminal in (False, True):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=300, color_system=None)
        print_evaluation(evaluation_of(table), "valid_loss", console)
        print_leaderboard(ranking(table, "valid_loss"), console=console)
        lines = out.getvalue()
        assert is_harmless(lines.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", ""))
        if not text.isprintable() and text.strip():
            assert printable(text)[:4] in lines
        assert lines.count("\n") <= 14
    axes, labels = swept_axes(table)
    assert is_harmless("".join(str(labels.to_numpy().tolist())))
    assert all(len(axis.values) == 2 for axis in axes if text != "plain")


def evaluation_of(table: pd.DataFrame) -> Evaluation:
    """Of clean inputs, without tables by class."""
    return Evaluation(table, None, None, None, conditions=(), notes=(), programs=0)


@pytest.mark.parametrize("text", NASTY[:-1])
def test_a_csv_file_holds_no_control_character_and_no_formula(tmp_path, text):
    evaluate._write(evaluation_of(table_with(text)), tmp_path / "out.csv")
    written = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert is_harmless(written)
    assert written.count("\n") == 5
    cells = pd.read_csv(tmp_path / "out.csv")
    assert not any(str(cell).lstrip().startswith("=") for cell in [*cells.columns, *cells["data"]])


@pytest.mark.parametrize("text", NASTY[:-1])
def test_a_page_holds_no_control_character(text):
    curves = pd.DataFrame({"run_id": ["00.5"], "epoch": [1], "batch_loss": [0.5], "valid_loss": [0.5]})
    call = {"call": text, "command": ["lanes", text], "begun": text}
    found = {text: {"command": [text], text: {text: text}, "calls": [call], "differing_calls": {text: text}}}
    page = pages.page(ranking(table_with(text), "valid_loss"), curves, found)
    assert all(is_harmless(line) for line in page.splitlines())
    page.encode()


@settings(max_examples=30, deadline=None)
@given(texts)
def test_lines_are_one_line_each(text):
    out = Outcome(0, 0, 1, 1, 1, 1, 1.0, (f"pack {text}",), waiting=(text,))
    line = printable(out.summary(Path(text.replace("\0", "") or "x")))
    assert is_harmless(line)
    assert "\n" not in line


@pytest.mark.parametrize("text", [*(text for text in NASTY if text not in ("\x00", "\ud800")), "it's \\ \n", "\udc9b"])
def test_the_command_to_repeat_is_the_command_that_was_typed(text):
    words = shlex.join(["lanes", "sweep", text]) if text.isprintable() else f"lanes sweep {command._quoted(text)}"
    assert is_harmless(words)
    assert "\n" not in words
    back = subprocess.run(
        ["bash", "-c", f"printf %s {command._quoted(text)}"], capture_output=True, check=True, env=UTF8
    )
    assert os.fsdecode(back.stdout) == text


UTF8 = {**os.environ, "LC_ALL": "C.UTF-8"}


def test_printing_goes_through_one_place():
    """`print` is called where lines are made printable, and for texts without names; rich gets `Text` of such lines."""
    found = []
    for path in (CHECKOUT / "lanes").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append((path.relative_to(CHECKOUT).as_posix(), ast.unparse(node)))
    allowed = {
        ("lanes/cli/main.py", "print(overview())"),
        ("lanes/cli/sweep.py", "print(describe(plan, options, directory))"),
    }
    assert {pair for pair in found if pair[0] != "lanes/errors.py"} == allowed


def test_say_and_warn_print_one_line(capsys):
    say("a\x1b[31m\nb")
    warn(Path("c\u202e"))
    assert capsys.readouterr() == ("a\\x1b[31m\\nb\n", "c\\u202e\n")


@pytest.fixture
def crafted(tmp_path, call):
    """A directory with files of nasty names, and a command's words about it."""
    directory = Directory(tmp_path / "\x1b[31m\n\u202eout")
    directory.create()
    for folder in (directory.results, directory.curves, directory.rungs):
        folder.mkdir(exist_ok=True)
        (folder / "\x1b[2Jx\n.parquet").write_bytes(b"PAR1")
    (directory.calls / "\x9b31m.json").write_text(json.dumps({"sha256": ""}))
    directory.sweep_file.write_bytes(b"\x1b[31m")
    return directory.path, call


def test_commands_about_a_directory_of_nasty_names_print_no_control_character(crafted, capsys):
    path, call = crafted
    file = path / "x\x1b[31m.py"
    file.write_text(f"from lanes import Run\ndef sweep():\n    return [Run(data={NASTY[0]!r}, net={NASTY[8]!r})]\n")
    for words in (
        [file, "--out", path],
        [path / "absent\n.py", "--out", path],
        [file, "--out", path, "--set", "\x1b[2J=1"],
    ):
        status, out, err = call(*words)
        assert status == 2
        assert is_harmless(out + err)
        assert err.count("\n") == 1, err
    with pytest.raises(RequestError) as caught:
        lanes.load(path)
    assert is_harmless(str(caught.value))
    directory = Directory(path)
    directory.read_parts(directory.results)
    directory.read_parts(directory.curves)
    directory.read_sweep()
    lines = capsys.readouterr().err
    assert lines.count("\n") == 3
    assert is_harmless(lines)
    of_train = ["--run", f"{path}:\x1b[2J", "--out", f"{path}o"]
    for run, words in ((evaluate.run, [str(path)]), (report.run, [str(path)]), (train.run, of_train)):
        assert run(words) == 2
        assert is_harmless("".join(capsys.readouterr()))
