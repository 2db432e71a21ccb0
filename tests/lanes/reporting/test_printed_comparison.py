"""The printed difference of directories: its numbers by SciPy, and what it says of them."""

import json

import numpy as np
import pandas as pd
import pytest
from made_results import end, made_sweep
from scipy import stats

from lanes.cli import report
from lanes.reporting.printed_comparison import document, lines

GRID = {"activation": ["tanh", "relu"], "learning_rate": [0.01, 0.1]}


def two(shift=0.02, spread=0.002, seeds=4, **second):
    """The runs of two directories that differ in dropout; the second is better by `shift`, a seed more than another."""
    one, _ = made_sweep(GRID, seeds=seeds, dropout=0.0)
    other, _ = made_sweep(GRID, seeds=seeds, **{"dropout": 0.5, **second})
    more = shift + spread * np.random.default_rng(1).normal(size=seeds)[other["seed"]]
    for name in ("valid_accuracy", "test_accuracy"):
        other[name] += more
    return one, other


def joined(*tables, names=("a", "b", "c")):
    return pd.concat([table.assign(dir=name) for table, name in zip(tables, names)], ignore_index=True)


def test_the_difference_is_that_of_scipy():
    one, other = two()
    (found,) = document(joined(one, other))
    by_seed = (other.valid_accuracy - one.valid_accuracy).groupby(one.seed).mean()
    numbers = found["all_pairs"]["valid_accuracy"]
    np.testing.assert_allclose(numbers["mean"], by_seed.mean())
    np.testing.assert_allclose(numbers["half_width"], stats.sem(by_seed) * stats.t.ppf(0.975, 3))
    assert (numbers["n"], numbers["pairs"]) == (4, 16)
    assert found["differing"] == {"dropout": ["0", "0.5"]}
    assert found["combinations"][0]["settings"] == {"activation": "relu", "learning_rate": 0.01}
    assert len(found["combinations"]) == 4


def test_words_and_numbers():
    one, other = two()
    text = lines(joined(one, other))
    assert text[0] == "b − a, paired by seed:"
    assert text[1].startswith("  valid_accuracy, all 16 pairs of runs: +0.02")
    assert "  b is better in validation accuracy: the 95% interval excludes 0" in text
    assert "  they differ in dropout 0 → 0.5" in text


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (two(shift=-0.02), "a is better in validation accuracy"),
        (two(shift=0.0, spread=0.01), "no difference in validation accuracy is seen: the 95% interval holds 0"),
        (two(shift=0.0, spread=0.0), "all 4 seeds have the same validation accuracy in both"),
        (two(spread=0.0), "the same difference in all 4 seeds has no interval"),
        (two(seeds=1), "one seed has no interval"),
    ],
    ids=["worse", "unclear", "equal", "shifted", "one seed"],
)
def test_what_is_said_follows_the_interval(tables, expected):
    assert any(expected in line for line in lines(joined(*tables)))


def test_a_loss_is_better_where_it_is_lower():
    one, other = two()
    other["valid_loss"] = one["valid_loss"] - 0.1 - 0.001 * other["seed"]
    text = lines(joined(one, other), "valid_loss")
    assert any("b is better in validation loss" in line for line in text)


def test_runs_without_a_partner_are_counted():
    one, other = two()
    other["seed"] += 2
    text = lines(joined(one, other))
    assert "  16 runs have no partner in the other directory" in text
    other["seed"] += 10
    text = lines(joined(one, other))
    assert any("none can be compared" in line for line in text)
    (found,) = document(joined(one, other))
    assert found["all_pairs"]["valid_accuracy"]["n"] == 0


def test_diverged_runs_make_no_pair():
    one, other = two()
    runs = joined(one, end(other, [0, 1, 2, 3], "diverged"))
    assert document(runs)[0]["all_pairs"]["valid_accuracy"]["pairs"] == 12


def test_each_directory_is_compared_with_the_first():
    one, other = two()
    assert [line for line in lines(joined(one, other, other)) if "paired by seed" in line] == [
        "b − a, paired by seed:",
        "c − a, paired by seed:",
    ]
    assert lines(one) == []


def test_runs_on_other_data_are_not_compared():
    one, other = two()
    runs = joined(one.assign(comparable="x"), other.assign(comparable="y", data="blobs"))
    runs.attrs["comparable"] = {key: dict.fromkeys(["valid *", "test *", "train *", "loss", "*"], key) for key in "xy"}
    assert lines(runs) == ["b − a: no metric compares their runs, so there is no difference to tell"]
    assert document(runs) == []


def test_the_command_prints_it(tmp_path, monkeypatch, capsys):
    tables = dict(zip("ab", two(), strict=True))
    _, curves = made_sweep(GRID)
    monkeypatch.setattr("lanes.results.tables.load", lambda path: tables[path.name])
    monkeypatch.setattr("lanes.results.tables.load_curves", lambda _: curves)
    words = [str(tmp_path / name) for name in tables]
    for word in words:
        (tmp_path / word).mkdir()
    assert report.run([*words, "--out", str(tmp_path / "page.html")]) == 0
    assert "b − a, paired by seed:" in capsys.readouterr().out
    assert report.run([*words, "--out", str(tmp_path / "page.html"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["differences"][0]["verdict"].startswith("b is better")
