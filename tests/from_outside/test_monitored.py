"""What a run monitors decides where it stops, which epoch is best, and what ranks it: against loops by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

import lanes
from lanes import Blobs, Halving, Metric, RequestError, Run, grid
from lanes.data.orders import epoch_order
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate
from lanes.results.leaderboard import leaderboard
from nets import MLP

PROGRAMS = Programs()
sweep = functools.partial(lanes.sweep, programs=PROGRAMS, quiet=True, devices=1)

# 30 validation examples of two overlapping classes: AUROC moves in steps and ties, and 7 training examples are left over.
DATA = Blobs(n=200, classes=2, distance=1.0, valid_fraction=0.2)


def margin(predictions, targets):
    """A metric over a set of the user's own: how far the classes' mean scores are apart."""
    score = predictions[:, 1] - predictions[:, 0]
    ones = (targets == 1).astype(jnp.float32)
    return jnp.sum(score * ones) / jnp.sum(ones) - jnp.sum(score * (1 - ones)) / jnp.sum(1 - ones)


BASE = Run(
    data=DATA,
    net=MLP(widths=(4,)),
    activation="tanh",
    batch_size=16,
    epochs=12,
    learning_rate=0.03,
    metrics=("auroc", "balanced_accuracy", Metric(margin, higher_is_better=True, over="set")),
    monitor="valid_auroc",
    patience=2,
)
SEEDS = 4


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("monitored") / "sweep"
    sweep(grid(BASE, seed=range(SEEDS)), out)
    return out


@pytest.fixture(scope="module")
def initial(tmp_path_factory):
    """Initial variables by seed: those after an epoch at a rate that changes nothing."""
    out = tmp_path_factory.mktemp("initial") / "sweep"
    still = dataclasses.replace(BASE, epochs=1, learning_rate=1e-30)
    table = sweep(grid(still, seed=range(SEEDS)), out)
    return {seed: lanes.restore(out, run_id, epoch="last") for seed, run_id in zip(table["seed"], table["run_id"])}


def by_hand(net, variables, seed):
    """A plain loop that stops by AUROC: (AUROC by epoch, best epoch)."""
    data = DATA.load()
    x, y = ((part - data.offset) * data.scale for part in (data.train.x, data.valid.x)), data.train.y
    train_x, valid_x = map(jnp.asarray, x)
    optimizer = optax.adam(0.03)
    params, state = variables["params"], optimizer.init(variables["params"])

    @jax.jit
    def step(params, state, x, y):
        def loss(params):
            logits = net.apply({"params": params}, x, train=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    best, best_epoch, curve = -np.inf, 0, []
    for epoch in range(BASE.epochs):
        order = epoch_order(len(y), seed, epoch, 16)
        for first in range(0, len(order), 16):
            rows = order[first : first + 16]
            params, state = step(params, state, train_x[rows], y[rows])
        logits = np.asarray(net.apply({"params": params}, valid_x, train=False), np.float64)
        curve.append(roc_auc_score(data.valid.y, logits[:, 1] - logits[:, 0]))
        if curve[-1] > best:
            best, best_epoch = curve[-1], epoch + 1
        if epoch + 1 - best_epoch >= 2:
            break
    return curve, best_epoch


def test_stopping_by_the_area_ends_where_a_plain_loop_ends(directory, initial):
    table, curves = lanes.load(directory), lanes.load_curves(directory)
    stopped = set()
    for _, row in table.iterrows():
        with jax.numpy_dtype_promotion("standard"):  # Optax raises floats to the power of the count
            curve, best_epoch = by_hand(*initial[row["seed"]], row["seed"])
        own = curves[curves["run_id"] == row["run_id"]]
        np.testing.assert_allclose(own["valid_auroc"], curve, atol=1e-6)
        assert (row["epochs_done"], row["best_epoch"]) == (len(curve), best_epoch)
        assert row["valid_auroc"] == pytest.approx(max(curve))
        assert row["status"] == ("stopped_early" if len(curve) < BASE.epochs else "done")
        stopped.add(row["status"])
    assert "stopped_early" in stopped
    lowest = curves.loc[curves.groupby("run_id")["valid_loss"].idxmin()].set_index("run_id")["epoch"]
    assert any(lowest[row["run_id"]] != row["best_epoch"] for _, row in table.iterrows())


def test_stored_metrics_over_a_set_are_those_of_the_predictions(directory):
    table = lanes.load(directory)
    data = DATA.load()
    for run_id in table["run_id"][:2]:
        net, variables = lanes.restore(directory, run_id)
        row = table.set_index("run_id").loc[run_id]
        for split, part in data.splits().items():
            logits = np.asarray(net.apply(variables, (part.x - data.offset) * data.scale, train=False))
            score = logits[:, 1] - logits[:, 0]
            assert row[f"{split}_auroc"] == pytest.approx(roc_auc_score(part.y, score), abs=1e-6)
            right = balanced_accuracy_score(part.y, logits.argmax(1))
            assert row[f"{split}_balanced_accuracy"] == pytest.approx(right, abs=1e-6)
            apart = score[part.y == 1].mean() - score[part.y == 0].mean()
            assert row[f"{split}_margin"] == pytest.approx(apart, rel=1e-5)


@pytest.mark.slow
def test_evaluation_reproduces_them_and_an_ensemble_has_its_own(directory):
    table = evaluate(directory, ensemble=True)
    runs = table[table["run_id"].str.len() == 16]
    for name in ("auroc", "margin"):
        np.testing.assert_array_equal(runs[f"evaluated_{name}"], runs[f"test_{name}"].astype(np.float64))
    rows = table.set_index("run_id")["evaluated_auroc"]
    assert rows["mean member"] == pytest.approx(runs["test_auroc"].astype(float).mean())
    assert 0 <= rows["ensemble"] <= 1


def test_rankings_follow_what_is_monitored(directory):
    assert leaderboard(lanes.load(directory)).metric == "valid_auroc"
    disagreeing = lanes.load(directory)
    disagreeing.loc[0, "monitor"] = None
    assert leaderboard(disagreeing).metric == "valid_accuracy"


@pytest.mark.slow
def test_halving_follows_what_is_monitored(tmp_path):
    runs = grid(dataclasses.replace(BASE, patience=None, epochs=3), seed=range(SEEDS))
    table = sweep(runs, tmp_path / "sweep", halving=Halving(rungs=(1,), keep=0.5))
    first = lanes.load_curves(tmp_path / "sweep").query("epoch == 1").set_index("run_id")["valid_auroc"]
    order = sorted(first.index, key=lambda run_id: (-first[run_id], run_id))
    assert set(table.loc[table["status"] == "pruned", "run_id"]) == set(order[SEEDS // 2 :])
    again = sweep(runs, tmp_path / "sweep", halving=Halving(rungs=(1,), keep=0.5, metric="valid_auroc"))
    assert list(again["status"]) == list(table["status"])


def none(predictions, targets):  # noqa: ARG001
    """No value on any set."""
    return jnp.nan * predictions[0, 0]


@pytest.mark.slow
def test_a_run_without_any_value_has_no_best_epoch(tmp_path):
    run = dataclasses.replace(BASE, metrics=(Metric(none, higher_is_better=True, over="set"),), monitor="valid_none")
    row = sweep([dataclasses.replace(run, epochs=3)], tmp_path / "sweep").iloc[0]
    assert (row["status"], row["epochs_done"]) == ("stopped_early", 2)
    assert row[["valid_none", "best_epoch"]].isna().all()


def bare(predictions, targets):
    """Without a direction."""
    return predictions[:, 0] * targets


def several(predictions, targets):
    """Not one number."""
    return predictions[:, 0] - targets.astype(jnp.float32)


def compare_all(predictions, targets):
    """Compares each prediction with every target."""
    return jnp.mean(predictions - targets[None, :])


REFUSED = {
    "not measured": ({"metrics": (), "monitor": "valid_auroc"}, r"does not measure: add 'auroc' to metrics"),
    "other split": ({"monitor": "test_auroc"}, r"write 'valid_auroc'"),
    "no split": ({"monitor": "auroc"}, r"on the validation split; write 'valid_auroc'"),
    "training": ({"monitor": "train_loss"}, r"write 'valid_loss'"),
    "misspelled": ({"monitor": "valid_aurok"}, r"did you mean 'valid_auroc'"),
    "no validation": ({"data": dataclasses.replace(DATA, valid_fraction=0.0)}, r"has no validation split here"),
    "no direction": ({"metrics": (bare,), "monitor": "valid_bare"}, r"bare does not say whether higher is better"),
    "neither": ({"metrics": ("predictive_entropy",), "monitor": "valid_predictive_entropy"}, r"neither direction"),
    "not a name": ({"monitor": 3}, r"monitor is 3 of type int"),
    "over": ({"metrics": (Metric(margin, True, over="batch"),)}, r"over='batch' of metric margin must be 'example' or"),
    "not one number": ({"metrics": (Metric(several, True, over="set"),), "monitor": None}, r"must return one number"),
    "perplexity": ({"metrics": ("perplexity",)}, r"unknown metric 'perplexity'"),
    "targets": (
        {"metrics": ("r_squared",), "monitor": None},
        r"metric r_squared is for targets of kind real, and these are classes: use auroc",
    ),
    "real targets": (
        {"data": "sine", "loss": "squared_error", "metrics": ("auroc",), "monitor": None},
        r"metric auroc is for targets of kind classes or binary or multilabel, and these are real: use r_squared",
    ),
    "no probabilities": (
        {"loss": "hinge", "metrics": ("expected_calibration_error",), "monitor": None},
        r"expected_calibration_error needs probabilities, and a net's outputs are no probabilities under loss hinge",
    ),
    "broadcast": (
        {
            "data": "sine",
            "loss": "squared_error",
            "metrics": (Metric(compare_all, False, over="set"),),
            "monitor": "valid_compare_all",
        },
        r"compare_all",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_to_write(name):
    changes, message = REFUSED[name]
    with pytest.raises(RequestError, match=message) as caught:
        make_plan([dataclasses.replace(BASE, **changes)], Options())
    assert "\n" not in str(caught.value)


def test_halving_of_runs_that_monitor_several_metrics_names_one():
    runs = [BASE, dataclasses.replace(BASE, monitor=None)]
    with pytest.raises(RequestError, match=r"these monitor valid_auroc and valid_loss: give it a metric"):
        make_plan(runs, Options(halving=Halving(rungs=(1,))))
    make_plan(runs, Options(halving=Halving(rungs=(1,), metric="valid_auroc")))
