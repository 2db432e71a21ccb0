"""The user's own metric, less being better, ranks right wherever runs are ranked, and from the directory alone."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from small_sweeps import OVERLAPPING

from lanes import Halving, Metric, RequestError, Run, grid, load, sweep
from lanes.program.compiled import Programs
from lanes.reporting.pages import read, write_report
from lanes.results.evaluation import evaluation
from lanes.results.leaderboard import leaderboard
from lanes.results.printed_evaluation import print_evaluation
from nets import MLP

PROGRAMS = Programs()  # of all sweeps of this file


def brier(prediction, target):
    """Squared distance of the probabilities from the truth."""
    truth = jax.nn.one_hot(target, prediction.shape[-1])
    return jnp.sum((jax.nn.softmax(prediction) - truth) ** 2, -1)


BASE = Run(data=OVERLAPPING, net=MLP(widths=()), optimizer="sgd", batch_size=16, epochs=4)
RATES = [1e-6, 0.1]  # the first learns nothing


def runs_with(*metrics):
    return grid(dataclasses.replace(BASE, metrics=metrics), learning_rate=RATES, seed=range(2))


STATED = runs_with(Metric(brier, higher_is_better=False))
OPTIONS = {"devices": 1, "width": 4, "quiet": True, "programs": PROGRAMS}


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stated") / "out"
    sweep(STATED, out, **OPTIONS)
    return out


def test_the_leaderboard_ranks_by_it(swept):
    board = leaderboard(load(swept), "brier")
    assert board.lower
    assert board.table["learning_rate"].tolist() == ["0.1", "1e-06"]
    assert board.table["valid_brier"].is_monotonic_increasing


def test_evaluating_the_best_takes_the_lowest(swept, capsys):
    found = evaluation(swept, best=1, metric="brier")
    assert set(found.runs["learning_rate"]) == {0.1}
    print_evaluation(found, "brier")
    assert "valid_brier" in capsys.readouterr().out


def test_the_report_ranks_by_it_alone_and_beside_another(swept, tmp_path):
    assert write_report([swept], "brier", tmp_path / "one.html").exists()
    other = tmp_path / "other"
    sweep(STATED[:2], other, **OPTIONS)
    assert leaderboard(read([swept, other])[0], "brier").lower
    assert leaderboard(load([swept, other]), "brier").lower
    assert write_report([swept, other], "brier", tmp_path / "two.html").exists()


def test_halving_keeps_the_lowest(tmp_path):
    halving = Halving(rungs=(2,), keep=0.5, metric="valid_brier")
    table = sweep(STATED, tmp_path / "halved", halving=halving, **OPTIONS)
    ends = table.groupby("learning_rate")["status"].unique().map(list).to_dict()
    assert ends == {1e-6: ["pruned"], 0.1: ["done"]}


def test_a_bare_function_is_measured_and_ranks_nothing(tmp_path):
    out, runs = tmp_path / "bare", runs_with(brier)
    remedy = r"metric brier does not say whether higher is better: write metrics=\(Metric\(brier"
    with pytest.raises(RequestError, match=remedy):
        sweep(runs, out, halving=Halving(rungs=(2,), metric="valid_brier"), **OPTIONS)
    assert not out.exists()
    table = sweep(runs, out, **OPTIONS)
    assert table["valid_brier"].notna().all()
    assert leaderboard(table).metric == "valid_accuracy"
    for ranking in (
        lambda: leaderboard(load(out), "brier"),
        lambda: evaluation(out, best=1, metric="brier"),
        lambda: write_report([out], "brier"),
    ):
        with pytest.raises(RequestError, match=remedy):
            ranking()


def test_the_directory_keeps_what_its_runs_state(swept, tmp_path):
    recorded = json.loads((swept / "sweep.json").read_text())["higher_is_better"]
    assert recorded == {"brier": False}
    out = tmp_path / "grown"
    sweep(STATED[:1], out, **OPTIONS)
    sweep(runs_with(brier)[:1], out, **OPTIONS)  # runs whose function says nothing come to it
    assert leaderboard(load(out), "brier").lower
    with pytest.raises(RequestError, match="metric brier has higher_is_better=True here and False elsewhere"):
        sweep(runs_with(Metric(brier, higher_is_better=True)), out, **OPTIONS)
    with pytest.raises(RequestError, match="metric brier has higher_is_better"):
        sweep([*STATED, *runs_with(Metric(brier, higher_is_better=True))], tmp_path / "both", **OPTIONS)
    assert not (tmp_path / "both").exists()
