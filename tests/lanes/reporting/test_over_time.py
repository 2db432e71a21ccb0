"""One experiment at several versions: their order, what changed between neighbours, trends by SciPy, and what is not paired."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_directories import with_three_runs
from made_results import made_sweep
from scipy import stats

from lanes.cli import report
from lanes.errors import RequestError
from lanes.reporting import over_time
from lanes.results.leaderboard import leaderboards
from lanes.results.over_time import REVISION, Version, changes, in_order, trends

GRID = {"activation": ["tanh", "relu"], "learning_rate": [0.01, 0.1]}
VERSIONS = [
    Version("may", "2026-05-01T00:00:00+00:00", "aaa", {"code": "1", "jax": "0.10.1"}, ""),
    Version("june", "2026-06-01T00:00:00+00:00", "bbb+", {"code": "2", "jax": "0.10.1"}, ""),
    Version("july", "2026-07-01T00:00:00+00:00", "bbb", {"code": "2", "jax": "0.10.2"}, "jax 0.10.2 -> 0.10.3"),
]


def versions_of_runs(steps=(0.0, 0.02, 0.0), seeds=4):
    """The runs of three versions, each better than the one before by its step, and a little more for some seeds."""
    tables, total = [], 0.0
    for at, (version, step) in enumerate(zip(VERSIONS, steps, strict=True)):
        runs, curves = made_sweep(GRID, seeds=seeds, value=lambda c: 0.8 + 0.05 * (c["activation"] == "relu"))
        total += step
        runs["valid_accuracy"] += total + 0.002 * np.random.default_rng(at).normal(size=seeds)[runs["seed"]]
        tables.append((runs.assign(dir=version.name), curves.assign(dir=version.name)))
    return tuple(pd.concat(part, ignore_index=True) for part in zip(*tables, strict=True))


# ---- versions ------------------------------------------------------------------------------------------------------


def test_versions_are_in_the_order_in_which_they_were_begun(tmp_path):
    paths = {}
    for name, begun, dirty in (("b", "2026-02-01", True), ("a", "2026-01-01", False)):
        made = with_three_runs(tmp_path / name)
        facts = {"begun": f"{begun}T00:00:00+00:00", "git_revision": "0123456789abcdef", "git_dirty": dirty}
        made.write_sweep({**facts, "conditions": {"code": name}})
        paths[name] = tmp_path / name
    found = in_order(paths)
    assert [each.name for each in found] == ["a", "b"]
    assert [each.revision for each in found] == ["0123456789ab", "0123456789ab+"]
    assert changes(*found) == {REVISION: ("0123456789ab", "0123456789ab+"), "code": ("a", "b")}


def test_what_has_no_place_in_time_is_refused(tmp_path):
    made = with_three_runs(tmp_path / "a")
    with_three_runs(tmp_path / "b")
    with pytest.raises(RequestError, match="two directories or more"):
        in_order({"a": made.path})
    with pytest.raises(RequestError, match="does not say when it was begun"):
        in_order({"a": made.path, "b": tmp_path / "b"})


def test_changes_between_neighbours():
    assert changes(*VERSIONS[:2]) == {REVISION: ("aaa", "bbb+"), "code": ("1", "2")}
    assert changes(*VERSIONS[1:]) == {REVISION: ("bbb+", "bbb"), "jax": ("0.10.1", "0.10.2")}


# ---- trends --------------------------------------------------------------------------------------------------------


def test_a_combination_over_versions_is_that_of_scipy():
    runs, _ = versions_of_runs()
    (found,) = over_time.over_time_document(runs, VERSIONS)["trends"]
    grouped = runs.groupby(["activation", "learning_rate", "dir"]).valid_accuracy
    assert len(found["combinations"]) == 4
    for each in found["combinations"]:
        activation, rate = (part.split(" ")[1] for part in each["name"].split(" · "))
        for name, value in each["values"].items():
            own = grouped.get_group((activation, float(rate), name))
            np.testing.assert_allclose(value["mean"], own.mean())
            np.testing.assert_allclose(value["half_width"], stats.sem(own) * stats.t.ppf(0.975, 3))
    best = grouped.mean().groupby("dir").max()
    np.testing.assert_allclose([found["best"][name]["mean"] for name in best.index], best)


def test_neighbours_are_paired_by_seed():
    runs, _ = versions_of_runs()
    (found,) = over_time.over_time_document(runs, VERSIONS)["trends"]
    by_seed = runs.groupby(["dir", "seed"]).valid_accuracy.mean().unstack(0)
    for each, (first, second) in zip(found["neighbours"], (("may", "june"), ("june", "july")), strict=True):
        difference = by_seed[second] - by_seed[first]
        assert (each["first"], each["second"], each["pairs"]) == (first, second, 16)
        np.testing.assert_allclose(each["difference"]["mean"], difference.mean())
        np.testing.assert_allclose(each["difference"]["half_width"], stats.sem(difference) * stats.t.ppf(0.975, 3))
        assert ("no difference" in each["verdict"]) == (stats.ttest_1samp(difference, 0).pvalue >= 0.05)
    assert found["neighbours"][0]["verdict"].startswith("june is better")


def test_a_combination_of_one_version_has_no_trend():
    runs, _ = versions_of_runs()
    runs = runs[~((runs["activation"] == "tanh") & (runs["dir"] != "may"))]
    (board,) = leaderboards(runs)
    best, found = trends(board, [version.name for version in VERSIONS])
    assert set(best.rows) == {"may", "june", "july"}
    assert all("relu" in each.name for each in found)


# ---- the page ------------------------------------------------------------------------------------------------------


def test_the_page_has_versions_trend_and_changes():
    runs, curves = versions_of_runs()
    paths = {version.name: Path(version.name) for version in VERSIONS}
    text = over_time.page(runs, curves, VERSIONS, paths)
    for anchor in ("versions", "trend", "changes", "provenance"):
        assert f'id="section-{anchor}"' in text
    assert "july − may" in text
    assert "july was not trained by one version: jax 0.10.2 -&gt; 0.10.3." in text
    assert "Over all pairs: june is better in validation accuracy: the 95% interval excludes 0." in text


def test_versions_on_other_data_are_not_paired():
    runs, _ = versions_of_runs()
    other = runs["dir"] == "june"
    runs["comparable"] = np.where(other, "y", "x")
    runs["data"] = np.where(other, "blobs", "digits")
    runs.attrs["comparable"] = {key: dict.fromkeys(["valid *", "test *", "train *", "loss", "*"], key) for key in "xy"}
    said = over_time.lines(runs, VERSIONS)
    assert next(line for line in said if line.startswith("july − ")).startswith("july − may (data digits)")
    assert any("june cannot be paired with the runs with data digits" in line for line in said)
    assert any("ranked apart" in line for line in said)


@pytest.mark.parametrize(
    "more", [["--figures", "f"], ["--table", "csv"], ["--watch"], ["--statistic", "iqm"]], ids=" ".join
)
def test_what_a_page_over_time_does_not_take(tmp_path, capsys, more):
    assert report.run([str(tmp_path), str(tmp_path), "--over-time", *more]) == 2
    assert capsys.readouterr().err.startswith("error: --over-time writes a page of its own")


def test_the_command(tmp_path, monkeypatch, capsys):
    runs, curves = versions_of_runs()
    for name in ("may", "june", "july"):
        (tmp_path / name).mkdir()
    own = {name: part.drop(columns="dir") for name, part in runs.groupby("dir")}
    monkeypatch.setattr("lanes.results.tables.load", lambda path: own[path.name])
    monkeypatch.setattr(
        "lanes.results.tables.load_curves", lambda path: curves[curves["dir"] == path.name].drop(columns="dir")
    )
    monkeypatch.setattr("lanes.results.over_time.in_order", lambda _: VERSIONS)
    monkeypatch.setattr(over_time, "in_order", lambda _: VERSIONS)
    words = [str(tmp_path / name) for name in ("july", "may", "june")]
    assert report.run([*words, "--over-time"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "may: begun 2026-05-01T00:00:00, revision aaa"
    assert "  changed: git revision aaa → bbb+, code 1 → 2" in out
    assert out[-1] == f"report: {tmp_path / 'july' / 'over_time.html'}"
    assert report.run([*words, "--over-time", "--json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["versions"]] == ["may", "june", "july"]
