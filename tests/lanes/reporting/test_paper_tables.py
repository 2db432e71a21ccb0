"""Tables for papers: their numbers by SciPy, what is bold by the paired t test, what is missing in words, and their formats."""

import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from made_results import end, made_sweep
from scipy import stats

from lanes.cli import report
from lanes.errors import RequestError
from lanes.reporting.paper_tables import Cell, PaperTable, tables
from lanes.reporting.table_formats import csv, escaped, latex, markdown, spreadsheet_text, written
from lanes.results.leaderboard import ranking

GRID = {"activation": ["tanh", "relu"], "learning_rate": [1e-5, 0.1, 1.0]}
EVIL = r"50% $x_1$ {a} \input{b} #1 & ~^`<|>α±—  -- \\"


def better(combination):
    """The higher rate is better, relu a little."""
    return 0.8 + 0.05 * combination["learning_rate"] + 0.001 * (combination["activation"] == "relu")


def only(runs, **options):
    (table,) = tables(ranking(runs), **options)
    return table


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


# ---- numbers -------------------------------------------------------------------------------------------------------


def test_the_leaderboard_is_that_of_pandas_and_scipy():
    runs, _ = made_sweep(GRID, value=better)
    table = only(runs)
    expected = runs.groupby(["activation", "learning_rate"]).valid_accuracy.agg(["mean", "sem"])
    expected = expected.sort_values("mean", ascending=False)
    np.testing.assert_allclose(table.data["valid_accuracy"], expected["mean"])
    half = expected["sem"] * stats.t.ppf(0.975, 3)
    np.testing.assert_allclose(table.data["valid_accuracy half_width"], half)
    shown = [[float(number) for number in re.findall(r"0\.\d+", row[3])] for row in texts(table)]
    np.testing.assert_allclose(shown, np.stack([expected["mean"], half], axis=1), atol=6e-4)
    assert [row[1] for row in texts(table)] == [name for name, _ in expected.index]


@pytest.mark.parametrize("shift", [0.0, 0.004, 0.006, 0.008, 0.02])
def test_of_two_combinations_the_paired_t_test_says_what_is_bold(shift):
    runs, _ = made_sweep({"activation": ["tanh", "relu"]}, value=lambda c: 0.8 + shift * (c["activation"] == "relu"))
    table = only(runs)
    one, two = (runs[runs.activation == name].valid_accuracy.to_numpy() for name in ("tanh", "relu"))
    assert table.rows[0][2].bold
    assert table.rows[1][2].bold == (stats.ttest_rel(one, two).pvalue >= 0.05)
    assert not any(
        cell.bold for row in table.rows for at, cell in enumerate(row) if at != 2
    )  # test results are not tested


def test_what_is_not_shown_is_counted():
    runs, _ = made_sweep({"learning_rate": [1.0, 2.0, 3.0, 4.0]}, noise=1e-3)
    runs["valid_accuracy"] += 0.02 * (runs.learning_rate < 4)
    table = only(runs, top=1)
    assert len(table.rows) == 1
    assert "The best of 4 combinations. Bold:" in " ".join(table.caption)
    assert "2 more of them are not shown." in table.caption
    assert "n = 4 seeds" in table.caption[0]


def test_with_one_seed_nothing_is_compared():
    runs, _ = made_sweep(GRID, seeds=1)
    table = only(runs)
    assert "n = 1: one seed each" in table.caption[0]
    assert sum(cell.bold for row in table.rows for cell in row) == 1
    assert "none is compared with it" in " ".join(table.caption)


# ---- pivots --------------------------------------------------------------------------------------------------------


def test_a_pivot_shows_the_best_over_the_other_axes():
    runs, _ = made_sweep({**GRID, "dropout": [0.0, 0.5]}, value=better)
    table = only(runs, pivot=("activation", "learning_rate"))
    means = runs.groupby(["activation", "learning_rate", "dropout"]).valid_accuracy.mean()
    best = means.unstack("dropout").max(axis=1)
    shown = table.data.set_index(["activation", "learning_rate"])["valid_accuracy"]
    np.testing.assert_allclose(shown, [best[name, float(rate)] for name, rate in shown.index])
    assert table.header == ["activation", "1e-05", "0.1", "1"]
    assert "A cell is the best combination over dropout." in table.caption


def test_cells_without_a_value_say_why():
    runs, _ = made_sweep(GRID, value=better)
    runs = runs[~((runs.activation == "relu") & (runs.learning_rate == 0.1))].reset_index(drop=True)
    tanh = runs.index[runs.activation == "tanh"]
    runs = end(runs, tanh[:4], "diverged")
    runs = end(runs, tanh[4:5], "failed")
    runs = end(runs, tanh[8:12], "pending")
    table = only(runs, pivot=("activation", "learning_rate"))
    assert texts(table)[0][1:] == ["diverged", texts(table)[0][2], "pending"]
    assert re.fullmatch(r"0\.\d+ ± 0\.\d+ \(n = 3, 1 of 4 failed\)", texts(table)[0][2])
    assert texts(table)[1][2] == "–"
    caption = " ".join(table.caption)
    assert "n = 3 to 4 seeds" in caption
    assert "–: not run." in caption
    assert "4 of 20 runs are pending." in caption
    assert table.data.set_index(["activation", "learning_rate"]).loc[("relu", "0.1"), "status"] == "not run"
    board = only(runs)
    assert [row[-1] for row in texts(board)] == ["", "1 of 4 failed", "", "", ""]
    assert [row[3] for row in texts(board)][-2:] in (["diverged", "pending"], ["pending", "diverged"])


def test_a_table_of_nothing_but_diverged_runs():
    runs, _ = made_sweep(GRID)
    table = only(end(runs, runs.index, "diverged"))
    assert "no run has a value" in table.caption[0]
    assert not any(cell.bold for row in table.rows for cell in row)
    assert {row[3] for row in texts(table)} == {"diverged"}


def test_equal_seeds_and_cut_intervals_are_explained():
    runs, _ = made_sweep({"activation": ["tanh", "relu"]}, value=lambda c: 0.99 + 0.005 * (c["activation"] == "relu"))
    runs.loc[runs.activation == "tanh", "valid_accuracy"] = 0.9
    caption = " ".join(only(runs).caption)
    assert "equal values have no interval" in caption
    assert "cut at 0 or 1" in caption


@pytest.mark.parametrize(
    ("pivot", "match"),
    [
        (("activation", "learning_rat"), "did you mean 'learning_rate'"),
        (("activation", "activation"), "twice"),
        (("seed", "activation"), "valid: activation, learning_rate"),
        (("", "activation"), "valid: activation, learning_rate"),
    ],
)
def test_a_pivot_takes_two_axes(pivot, match):
    runs, _ = made_sweep(GRID)
    with pytest.raises(RequestError, match=match):
        tables(ranking(runs), pivot=pivot)


def test_a_sampled_axis_is_binned_in_a_pivot():
    runs, _ = made_sweep({"learning_rate": np.geomspace(1e-4, 1, 30).tolist(), "activation": ["tanh", "relu"]}, seeds=2)
    table = only(runs, pivot=("activation", "learning_rate"))
    assert len(table.header) == 9
    assert "Values of learning rate are in bins of equally many." in table.caption


# ---- formats -------------------------------------------------------------------------------------------------------


def odd():
    """A sweep whose labels mean something to LaTeX, Markdown and spreadsheets."""
    runs, _ = made_sweep({"activation": [EVIL, "=1+1", "[a]", "", "é ü 中"], "learning_rate": [1e-5, -0.5]}, seeds=2)
    return end(runs, [0, 1], "diverged")


def test_latex_is_balanced_and_escaped():
    for table in (only(odd()), only(odd(), pivot=("activation", "learning_rate"))):
        text = latex(table)
        body = re.sub(r"\\[\\%&$#_{}]", "", text.partition("\n")[2])
        assert body.count("{") == body.count("}")
        assert body.count("$") % 2 == 0
        assert not re.search(r"[#~^`<>|±—α]", re.sub(r"\^\{", "", body))
        assert r"\input" not in text
        rows = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
        assert len(rows) == len(table.rows)
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(table.header) - 1}
        assert all(row.endswith(r"\\") for row in rows)
        assert [text.count(rf"\{rule}") for rule in ("toprule", "midrule", "bottomrule")] == [1, 1, 1]
        assert r"$10^{-5}$" in text
        assert r"$-$0.5" in text
        assert not re.search(r"\\\\\n\s*\[", text)
        assert "none" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("100%", r"100\%"),
        ("\\", r"\textbackslash{}"),
        ("a--b", "a-{}-b"),
        ("0.9 ± 0.1", r"0.9 $\pm$ 0.1"),
        ("β=Δ", r"$\beta$=$\Delta$"),
        ("–", "--"),
        ("\x1b[31m\n", r"\textbackslash{}x1b[31m\textbackslash{}n"),
    ],
)
def test_characters_for_latex(text, expected):
    assert escaped(text) == expected


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles(tmp_path):
    inside = "".join(latex(only(odd(), pivot=pivot)) for pivot in (None, ("activation", "learning_rate")))
    inside = re.sub(r"[^\x00-\x7fé]", "?", inside)
    text = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + inside + "\\end{document}\n"
    (tmp_path / "t.tex").write_text(text)
    words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


def test_markdown_has_a_cell_for_each_column():
    for table in (only(odd()), only(odd(), pivot=("activation", "learning_rate"))):
        caption, blank, *rows = markdown(table).splitlines()
        assert not blank
        assert "±" in caption
        assert {len(re.findall(r"(?<!\\)\|", row)) - 1 for row in rows} == {len(table.header)}
        assert len(rows) == len(table.rows) + 2


def test_csv_is_read_back_in_full():
    runs, _ = made_sweep(GRID, value=better)
    table = only(end(runs, [0, 1, 2, 3], "diverged"), pivot=("activation", "learning_rate"))
    found = pd.read_csv(io.StringIO(csv([table])))
    np.testing.assert_array_equal(found["valid_accuracy"], table.data["valid_accuracy"])
    assert found["rank"].tolist()[1:] == table.data["rank"].tolist()[1:]
    assert "4.0" not in csv([table]).splitlines()[2].split(",")  # counts are integers beside missing ones
    assert "'=1+1" in csv([only(odd())])
    assert spreadsheet_text(-1.5) == -1.5


def test_several_tables_stand_below_each_other():
    one = PaperTable(
        "a", ["First."], ["x"], [[Cell("1")]], frozenset({0}), "", pd.DataFrame({"group": ["a"], "x": [1]})
    )
    two = PaperTable("b", ["Second."], ["y"], [[Cell("2")]], frozenset(), "", pd.DataFrame({"group": ["b"], "y": [2]}))
    assert written([one, two], "latex").count(r"\begin{table}") == 2
    assert written([one, two], "markdown").count("| --- |") == 1
    assert written([one, two], "csv").splitlines() == ["group,x,y", "a,1.0,", "b,,2.0"]


# ---- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path, monkeypatch):
    runs, curves = made_sweep(GRID, value=better)
    monkeypatch.setattr("lanes.results.tables.load", lambda _: runs)
    monkeypatch.setattr("lanes.results.tables.load_curves", lambda _: curves)
    return tmp_path


def test_the_command_prints_the_table_and_nothing_else(directory, capsys):
    assert report.run([str(directory), "--table", "latex", "--top", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("% ")
    assert out.endswith("\\end{table}\n")
    assert not err
    assert not list(directory.iterdir())
    assert report.run([str(directory), "--table", "csv", "--out", str(directory / "t.csv")]) == 0
    assert capsys.readouterr().out == f"table: {directory / 't.csv'}\n"
    assert len(pd.read_csv(directory / "t.csv")) == 6


@pytest.mark.parametrize(
    "words",
    [
        ["--table", "html"],
        ["--table", "csv", "--json"],
        ["--pivot", "activation", "learning_rate"],
        ["--table", "csv", "--pivot", "activation", "seed"],
        ["--table", "csv", "--out", "absent/t.csv"],
        ["--table", "csv", "--out", "."],
        ["--table", "csv", "--top", "0"],
        ["--table", "csv", "--metric", "nothing"],
    ],
    ids=" ".join,
)
def test_wrong_requests_are_one_line(directory, monkeypatch, capsys, words):
    monkeypatch.chdir(directory)
    assert report.run([str(directory), *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(directory.iterdir())
