"""Arrays of a user's own, through planning, training, evaluating and restoring."""

import jax.numpy as jnp
import numpy as np
import pytest

import lanes
from lanes import Mixup, RequestError, Run, Tokens
from lanes.cli import sweep
from lanes.data.dataset import Dataset
from lanes.engine.options import Options
from lanes.engine.plan_summary import describe
from lanes.engine.requests import make_plan
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate
from nets import MLP, Recurrent

OPTIONS = {"devices": 1, "width": 1, "quiet": True, "programs": Programs()}
TIMES = 1.7e9 + np.arange(120.0)
CODES = np.random.default_rng(0).integers(0, 5, (80, 6))
HALF = np.arange(80) % 2


def night():
    """Is it later than the middle of two minutes, by unix time?"""
    return TIMES, (TIMES[60] <= TIMES).astype(int)


def next_night():
    """The same question to times between those of the other, a quarter of a second off."""
    return {"train": night(), "test": (TIMES[::7] + 0.25, (TIMES[::7] >= TIMES[60]).astype(int))}


def ages():
    """Ages in years, from a line."""
    x = np.arange(80)
    return x, 18 + x // 2


def ill():
    return np.arange(80.0), HALF


def sorted_halves():
    return np.arange(80), (np.arange(80) >= 40).astype(int)


def codes():
    return CODES, HALF


def stated_codes():
    return Tokens(CODES, vocabulary=9), HALF


def postcodes():
    return np.arange(80.0), np.array([10001, 90210, 33109])[np.arange(80) % 3]


def dataset_of(run: Run) -> Dataset:
    plan = make_plan([run], Options(devices=1))
    return plan.datasets.of(plan.planned[0].run)


@pytest.mark.slow
def test_unix_times_are_told_apart_in_training_evaluation_and_other_data(tmp_path):
    run = Run(data=night, net=MLP(widths=(8,)), learning_rate=0.05, batch_size=16, epochs=20)
    trained = lanes.train(run, tmp_path, **OPTIONS)
    assert trained.results["test_accuracy"] > 0.9
    own = evaluate(tmp_path).iloc[0]
    assert own["evaluated_loss"] == pytest.approx(trained.results["test_loss"], rel=1e-6)
    other = evaluate(tmp_path, data=next_night).iloc[0]
    # What the training split is, in float64, and what the net makes of the other times as it sees them.
    train = dataset_of(run).train.raw
    x, y = next_night()["test"]
    seen = (x[:, None] - train.mean()) / train.std()
    logits = np.asarray(trained.net.apply(trained.variables, jnp.asarray(seen, jnp.float32), train=False))
    loss = np.mean(np.logaddexp(logits[:, 0], logits[:, 1]) - logits[np.arange(len(y)), y])
    assert other["evaluated_loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.slow
def test_two_classes_train_one_logistic_output():
    run = Run(
        data=sorted_halves,
        net="logistic_regression",
        loss="binary_cross_entropy",
        learning_rate=0.2,
        epochs=20,
        batch_size=16,
    )
    trained = lanes.train(run, **OPTIONS)
    assert trained.results["test_accuracy"] > 0.8
    assert trained.variables["params"]["output"]["kernel"].shape == (1, 1)


def test_ages_are_numbers_for_a_regression_loss():
    data = dataset_of(Run(data=ages, net="linear_regression", loss="mean_squared_error"))
    assert (data.task, data.outputs, data.train.y.max() > 50) == ("real", 1, True)
    with pytest.raises(RequestError, match="labels 18, 19, 20, … leave 18 of the classes 0 … 57 without an example"):
        make_plan([Run(data=ages)], Options(devices=1))


@pytest.mark.parametrize(
    ("data", "vocabulary", "rows"),
    [(codes, None, 5), (codes, 7, 7), (stated_codes, None, 9)],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_the_vocabulary_is_that_of_the_data(data, vocabulary, rows):
    plan = make_plan(
        [Run(data=data, net=Recurrent(widths=(4,), embedding=3, vocabulary=vocabulary))], Options(devices=1)
    )
    (shapes,) = plan.shapes.values()
    assert (rows, 3) in shapes


@pytest.mark.slow
def test_mixup_trains_on_classes():
    run = Run(
        data=sorted_halves, net=MLP(widths=(4,)), augment=(Mixup(0.2),), learning_rate=0.05, batch_size=16, epochs=10
    )
    assert lanes.train(run, **OPTIONS).results["test_accuracy"] > 0.8
    with pytest.raises(RequestError, match="Mixup, which mixes classes, and loss hinge takes whole ones"):
        make_plan([Run(data=ill, loss="hinge", augment=(Mixup(),), batch_size=8)], Options(devices=1))


FILE = """
import numpy as np
from lanes import Run

def mine():
    {body}

BASE = Run(data=mine, batch_size=8, {fields})

def sweep():
    return [BASE]
"""
RANDOM = "x = np.random.default_rng(0).normal(size=(40, 3)); y = np.arange(40) % 2; "


@pytest.mark.parametrize(
    ("body", "fields", "message"),
    [
        ("return x, np.array([10001, 90210, 33109])[np.arange(40) % 3]", "", "number them by np.unique"),
        ("return np.ma.masked_less(x, 0), y", "", "write x.filled(…), or drop these examples"),
        ("return np.zeros((40, 3, 8, 8)), y", "", "return x.transpose(0, 2, 3, 1)"),
        ("return x, y * 1.0", "", "return y.astype(int)"),
        ("return x, y", "epochs=10**9", "programs count steps in 32 bits, so epochs must be at most 536,870,911"),
        ("return x, y", "dropout=0.99999999", "as float32, dropout is 1.0"),
    ],
)
def test_the_command_says_what_to_write_and_starts_nothing(tmp_path, capsys, body, fields, message):
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(body=RANDOM + body, fields=fields))
    assert sweep.run([str(file), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"data": ages, "loss": "huber"},
            "ages: 64/8/8 examples of 1 numbers (standardized per feature), 1 number to predict",
        ),
        ({"data": codes}, "codes: 64/8/8 examples of 6 numbers (standardized per feature), 2 classes"),
        ({"data": codes, "net": "gru"}, "codes: 64/8/8 examples of 6 tokens of 5, 2 classes"),
        ({"data": ill, "loss": "binary_cross_entropy"}, "1 target of 0 or 1"),
        ({}, "digits: 1437/180/180 examples of 8 × 8 × 1 numbers (standardized), 10 classes"),
    ],
    ids=["ages", "codes", "tokens", "ill", "digits"],
)
def test_a_dry_run_says_how_the_data_are_read(fields, line):
    options = Options(devices=1)
    lines = describe(make_plan([Run(**fields), Run(**fields, seed=1)], options), options).splitlines()
    assert sum(line in text for text in lines) == 1
