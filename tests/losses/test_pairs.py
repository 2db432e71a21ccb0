import inspect

import jax.numpy as jnp
import numpy as np
import pytest

import losses
from losses.pairs import LOSS_KINDS, LOSSES


def test_tables_cover_each_other_and_the_catalogue():
    assert set(LOSSES) == set(LOSS_KINDS)
    catalogue = """zero_one binary_cross_entropy softmax_cross_entropy negative_log_likelihood sigmoid_cross_entropy
        hinge squared_error focal half_mean_squared_error mean_squared_error absolute_error half_squared_error
        root_mean_squared_error lp huber log_cosh kl_divergence"""
    assert set(catalogue.split()) <= set(LOSSES)
    assert {unit for kind in LOSS_KINDS.values() for unit in kind.units} <= set(losses.OUTPUT_UNITS)


@pytest.mark.parametrize("table", ["LOSSES", "PENALTIES", "OUTPUT_UNITS", "METRICS", "SET_METRICS"])
def test_every_entry_states_formula_and_reference(table):
    for name, entry in getattr(losses, table).items():
        entry = entry.function if isinstance(entry, losses.Metric) else entry
        text = inspect.getdoc(entry if inspect.isfunction(entry) else type(entry))
        assert "Formula: " in text, name
        assert "Reference: " in text, name
        assert text.split("\n")[0].endswith("."), name


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("softmax", "softmax_cross_entropy"),
        ("identity", "hinge"),
        ("clipped_linear", "squared_error"),
        ("sigmoid", "focal"),
    ],
)
def test_pairs_that_fit(output, loss):
    assert losses.fits(output, loss) is None
    assert losses.fits(output, LOSSES[loss]) is None


@pytest.mark.parametrize(
    ("output", "loss", "advice"),
    [
        ("sigmoid", "softmax_cross_entropy", "use output='softmax'"),
        ("tanh", "binary_cross_entropy", "use output='sigmoid'"),
        ("softmax", losses.Hinge(margin=2.0), "loss='hinge'.*use output='identity'"),
        ("sofmax", "hinge", "unknown: choose one of"),
    ],
)
def test_pairs_that_do_not_fit(output, loss, advice):
    reason = losses.fits(output, loss)
    assert "\n" not in reason
    with pytest.raises(ValueError, match=advice):
        raise ValueError(reason)


def test_targets_and_smoothing():
    assert losses.fits_targets("classes", "softmax_cross_entropy") is None
    assert "binary_cross_entropy" in losses.fits_targets("binary", "softmax_cross_entropy")
    assert "squared_error" in losses.fits_targets("real", "hinge")
    assert losses.fits_smoothing("softmax_cross_entropy") is None
    assert "set it to 0" in losses.fits_smoothing("squared_error")


def test_the_users_own_losses_are_not_checked():
    def mine(predictions, targets):
        return predictions - targets

    assert losses.name_of(mine) is None
    assert losses.fits("tanh", mine) is None
    assert losses.fits_targets("real", mine) is None
    assert losses.fits_smoothing(mine) is None
    with pytest.raises(ValueError, match="unknown: choose one of"):
        losses.name_of("hinge_loss")


def test_softmax_of_worked_examples():
    softmax = losses.OUTPUT_UNITS["softmax"]
    np.testing.assert_allclose(softmax(jnp.array([3.0, 1.0, 1.0])), [0.787, 0.107, 0.107], atol=5e-4)
    np.testing.assert_allclose(softmax(jnp.array([1.2, 5.1, 2.7])), [0.018, 0.900, 0.082], atol=5e-4)


def test_output_units_in_closed_form():
    z = np.array([-1.5, -0.2, 0.3, 0.8, 2.0])
    expected = {
        "identity": z,
        "sigmoid": 1 / (1 + np.exp(-z)),
        "softmax": np.exp(z) / np.exp(z).sum(),
        "tanh": 2 / (1 + np.exp(-2 * z)) - 1,
        "clipped_linear": np.clip(z, 0, 1),
        "softplus": np.log1p(np.exp(z)),
        "relu": np.maximum(z, 0),
        "step": (z > 0).astype(float),
    }
    assert set(expected) == set(losses.OUTPUT_UNITS)
    for name, values in expected.items():
        np.testing.assert_allclose(losses.OUTPUT_UNITS[name](jnp.asarray(z, jnp.float32)), values, atol=1e-6)
