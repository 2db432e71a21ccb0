"""A user's file with targets in their own units, and with their uncertainty, from the command to the restored net."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.stats import norm

import lanes
from lanes.cli import evaluate
from lanes.data.loading import from_arrays
from lanes.results.evaluation import evaluate as evaluated_runs

ROOT = Path(__file__).parents[2]
FILE = '''
"""How much do houses cost, and how sure is the net?"""
import numpy as np

from lanes import GaussianLikelihood, Regress, Run, grid
from nets import MLP


def houses():
    random = np.random.default_rng(0)
    size, age = random.uniform(50, 200, 160), random.integers(0, 90, 160)
    price = 3000 * size - 1000 * age + random.normal(0, 2e4, 160)
    return np.stack([size, age], 1), np.stack([price, price / 1e9], 1)


BASE = Run(data=houses, net=MLP(widths=(4,)), loss="mean_squared_error", metrics=("mean_squared_error",), epochs=3)


def sweep():
    standardized = grid(BASE, task=[Regress(standardize=True)], learning_rate=[0.01, 0.03])
    return [*standardized, Run(data=houses, net=MLP(widths=(4,)), task=GaussianLikelihood(standardize=True), epochs=3)]
'''


def houses():
    random = np.random.default_rng(0)
    size, age = random.uniform(50, 200, 160), random.integers(0, 90, 160)
    price = 3000 * size - 1000 * age + random.normal(0, 2e4, 160)
    return from_arrays(np.stack([size, age], 1), np.stack([price, price / 1e9], 1))


@pytest.mark.slow
def test_numbers_are_in_the_units_of_the_data(call, capsys, tmp_path):
    path, out = tmp_path / "houses.py", tmp_path / "out"
    path.write_text(FILE)
    status, _, error = call(path, "--out", out, "--devices", "1")
    assert status == 0, error
    table, data = lanes.load(out), houses()
    x, y = (np.asarray(data.test.x) - data.offset) * data.scale, np.asarray(data.test.y, float)
    deviation = np.asarray(data.train.y, float).std(0)
    assert set(table["loss"]) == {"mean_squared_error", "gaussian_nll"}
    for _, row in table.iterrows():
        net, variables = lanes.restore(out, row["run_id"])
        answer = np.asarray(net.apply(variables, x, train=False), float)
        mean = answer[:, :2]
        np.testing.assert_allclose(row["test_mean_squared_error"], np.square(mean - y).mean(), rtol=1e-4)
        if row["task"] == "regress":
            np.testing.assert_allclose(row["test_loss"], np.square((mean - y) / deviation).mean(), rtol=1e-4)
        else:
            likelihood = -norm.logpdf(y, mean, answer[:, 2:]).sum(1).mean()
            np.testing.assert_allclose(row["test_nll"], likelihood, rtol=1e-4)
            np.testing.assert_allclose(row["test_loss"], likelihood - np.log(deviation).sum(), rtol=1e-3)
    assert evaluate.run([str(out), "--no-code"]) == 2  # the data are code
    assert evaluate.run([str(out)]) == 0
    assert "evaluated_r_squared" in capsys.readouterr().out
    evaluated = evaluated_runs(out, ensemble=True, where=["task=gaussian_likelihood"])
    np.testing.assert_allclose(evaluated["evaluated_nll"], evaluated["test_nll"].iloc[0], rtol=1e-5)


@pytest.mark.slow
def test_the_page_of_targets_trains_as_it_stands(call, tmp_path):
    """Quantiles, class weights, mixed examples, label noise and uncertainty in one sweep."""
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    path, out = tmp_path / "page.py", tmp_path / "out"
    path.write_text("".join(re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)))
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        status, _, error = call(path, "--out", out, "--devices", "1", "--set", "epochs=1", "--dry-run")
    assert status == 0, error
