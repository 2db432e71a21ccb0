"""What a ranking compares: files with unlike losses, tasks and data, through the commands."""

from pathlib import Path

import pandas as pd
import pytest

from lanes import load
from lanes.cli import evaluate, report, sweep
from lanes.results.groups import common_metrics, comparable_groups
from lanes.results.leaderboard import leaderboard, leaderboards

LOSSES = """
import jax.numpy as jnp
from lanes import Metric, Run, grid
from nets import MLP

def within(prediction, target):
    return (jnp.abs(prediction - target) < 0.5).mean(-1)

def pinball(prediction, target):
    return jnp.maximum(0.9 * (target - prediction), 0.1 * (prediction - target)).sum(-1)

METRIC = {metric}
BASE = Run(data="sine", net=MLP(widths=(2,)), batch_size=64, epochs=2, metrics=(METRIC,))

def sweep():
    return grid(BASE, loss=["mean_squared_error", pinball], seed=range(2))
"""

TASKS = """
from lanes import Digits, Elbo, Run, grid
from nets import VAE

BASE = Run(data=Digits(standardize="unit"), net=VAE(widths=(4,), code=2), loss="sigmoid_cross_entropy", epochs=2)

def sweep():
    return grid(BASE, task=[Elbo(), Elbo(mode="divergence")]) + grid(BASE, task=[Elbo(beta=4.0)])
"""

DATA = """
from lanes import Blobs, Run, grid
from nets import MLP

BASE = Run(net=MLP(widths=(4,)), batch_size=16, epochs=2)

def sweep():
    return grid(BASE, data=[Blobs(n=120), Blobs(n=120, distance=9.0)], seed=range(2))
"""

NUMBERS = """
from lanes import Run, grid
from losses import Huber
from nets import MLP

BASE = Run(data="sine", net=MLP(widths=(4,)), batch_size=16, epochs=2)

def sweep():
    return grid(BASE, loss=[Huber(delta=0.1), Huber(delta=1.0)])
"""

ALIKE = """
from lanes import Digits, Run, grid
from nets import MLP

BASE = Run(net=MLP(widths=(4,)), epochs=2)

def sweep():
    unlike_training = grid(BASE, label_smoothing=[0.1], l2=[1e-3], train_examples=[100])
    return unlike_training + grid(BASE, data=["digits", Digits(standardize="unit")])
"""


def written(folder: Path, text: str) -> str:
    path = folder / "experiment.py"
    path.write_text(text)
    return str(path)


def halved(folder: Path, text: str, metric: str) -> list[str]:
    """The command line of a dry run that halves by a metric."""
    out = str(folder / "out")
    return [written(folder, text), "--out", out, "--halving", "1", "--halving-metric", metric, "--dry-run"]


@pytest.mark.parametrize(
    ("text", "metric", "message"),
    [
        (
            LOSSES.format(metric="within"),
            "valid_loss",
            "differ in loss or task: rank by valid_within, which all have: write Metric",
        ),
        (
            LOSSES.format(metric="Metric(within, higher_is_better=True)"),
            "valid_loss",
            "Halving(…, metric='valid_within')",
        ),
        (LOSSES.format(metric="within"), "valid_within", "does not say whether higher is better"),
        (TASKS, "valid_loss", "valid_elbo"),
        (DATA, "valid_loss", "differ in data: make a sweep of each"),
        (DATA, "valid_accuracy", "differ in data: make a sweep of each"),
        (NUMBERS, "valid_loss", "differ in loss or task"),
    ],
)
def test_halving_does_not_rank_unlike_runs(tmp_path, capsys, text, metric, message):
    assert sweep.run(halved(tmp_path, text, metric)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        (LOSSES.format(metric="Metric(within, higher_is_better=True)"), "valid_within"),
        (TASKS, "valid_elbo"),
        (ALIKE, "valid_loss"),
    ],
)
def test_halving_ranks_by_what_all_runs_have(tmp_path, capsys, text, metric):
    assert sweep.run(halved(tmp_path, text, metric)) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_runs_of_unlike_losses_are_ranked_apart_until_a_metric_compares_them(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert sweep.run([written(tmp_path, LOSSES.format(metric="within")), "--out", out, "--devices", "1"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "are ranked apart: valid_loss does not compare them" in printed
    assert "valid_within, which all have, does not say whether higher is better" in printed
    assert printed.count("Best 1 of 1 combinations by valid_loss") == 2
    assert "are ranked apart" in (tmp_path / "out" / "report.html").read_text()
    assert evaluate.run([out, "--best", "1"]) == 2
    assert "--best 1 would compare runs that differ in loss or task" in capsys.readouterr().err
    assert evaluate.run([out, "--best", "1", "--where", "loss=pinball"]) == 0
    assert report.run([out, "--metric", "within"]) == 2

    other = str(tmp_path / "other")
    stated = written(tmp_path, LOSSES.format(metric="Metric(within, higher_is_better=True)"))
    assert sweep.run([stated, "--out", other, "--devices", "1"]) == 0
    board = leaderboard(load(other))
    assert (board.metric, len(board.table)) == ("valid_within", 2)
    assert board.lower is False
    assert [found.metric for found in comparable_groups(load(other), "valid_loss")] == ["valid_loss"] * 2
    assert "valid_within" in common_metrics(load(other))
    # a file of one loss against the same file with another: the directories share a metric, not a loss
    assert report.run([out, other]) == 0


# ---- tables -----------------------------------------------------------------------------------------------------------


def table(kinds):
    """`lanes.load`'s table of runs of these kinds: (key, facets, metrics)."""
    rows, stated = [], {}
    for key, facets, metrics in kinds:
        stated[key] = {"train *": "t", "valid *": "v", "test *": "e", "*": "o", **facets}
        for seed in range(2):
            shown = {"run_id": f"{len(rows):04x}", "status": "done", "loss": key, "seed": seed, "comparable": key}
            rows.append(shown | {name: value + 0.01 * seed for name, value in metrics.items()})
    runs = pd.DataFrame(rows)
    runs.attrs["comparable"] = stated
    return runs


def test_accuracy_ranks_runs_of_unlike_losses_on_the_same_data():
    runs = table(
        [
            ("huber", {"loss": "a", "accuracy": "x"}, {"valid_loss": 0.1, "valid_accuracy": 0.5}),
            ("hinge", {"loss": "b", "accuracy": "x"}, {"valid_loss": 9.0, "valid_accuracy": 0.9}),
        ]
    )
    (board,) = leaderboards(runs)
    assert (board.metric, board.table["loss"].tolist()) == ("valid_accuracy", ["hinge", "huber"])
    assert [found.name for found in comparable_groups(runs, "loss")] == ["loss huber", "loss hinge"]


def test_a_metric_that_some_runs_lack_does_not_rank_by_default():
    runs = table(
        [
            ("huber", {"loss": "a"}, {"valid_loss": 0.1}),
            ("hinge", {"loss": "b", "accuracy": "x"}, {"valid_loss": 9.0, "valid_accuracy": 0.9}),
        ]
    )
    assert [(found.metric, found.name) for found in comparable_groups(runs)] == [
        ("valid_loss", "loss huber"),
        ("valid_accuracy", "loss hinge"),
    ]


def test_unlike_data_are_apart_by_any_metric():
    kinds = [
        ("a", {"loss": "l", "accuracy": "x"}),
        ("b", {"loss": "l", "accuracy": "x", "valid *": "w", "test *": "w"}),
    ]
    runs = table([(*kind, {"valid_accuracy": 0.5, "valid_loss": 1.0}) for kind in kinds])
    for metric in (None, "accuracy", "valid_loss"):
        assert len(comparable_groups(runs, metric)) == 2
    assert common_metrics(runs) == []


def test_two_functions_of_one_name_do_not_compare():
    runs = table(
        [
            ("a", {"loss": "l", "rmse": "one"}, {"valid_loss": 1.0, "valid_rmse": 1.0}),
            ("b", {"loss": "l", "rmse": "other"}, {"valid_loss": 2.0, "valid_rmse": 0.1}),
        ]
    )
    runs.attrs["higher_is_better"] = {"rmse": False}
    assert len(leaderboards(runs)) == 1
    assert len(leaderboards(runs, "rmse")) == 2


def test_a_table_that_lost_what_its_runs_measure_compares_only_equal_kinds():
    runs = table([("a", {"loss": "l"}, {"valid_loss": 1.0}), ("b", {"loss": "l"}, {"valid_loss": 2.0})])
    assert len(leaderboards(runs)) == 1
    runs.attrs = {}
    assert len(leaderboards(runs)) == 2


def test_each_seeds_own_draw_of_the_data_belongs_to_the_replicate():
    kinds = [(f"draw {seed}", {"loss": "l", "valid *": f"v{seed}"}, {"valid_loss": 1.0}) for seed in range(3)]
    runs = table(kinds)[::2].assign(seed=range(3), loss="l", combination_id="one")
    assert len(leaderboards(runs)) == 1
    assert len(leaderboards(runs.assign(seed=0))) == 3
