"""Regression losses against closed forms, in value and gradient; shapes and ranges that are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import losses
from losses import regression

PREDICTIONS = np.random.default_rng(0).normal(size=(4, 3)) * 2
TARGETS = np.random.default_rng(1).normal(size=(4, 3))
ERRORS = PREDICTIONS - TARGETS
ABSOLUTE = np.abs(ERRORS)

CLOSED_FORMS = {
    "squared_error": (ERRORS**2).sum(1),
    "half_squared_error": (ERRORS**2).sum(1) / 2,
    "half_mean_squared_error": (ERRORS**2).sum(1) / 2,
    "mean_squared_error": (ERRORS**2).mean(1),
    "root_mean_squared_error": np.sqrt((ERRORS**2).mean(1)),
    "absolute_error": ABSOLUTE.sum(1),
    "mean_absolute_error": ABSOLUTE.mean(1),
    "lp": (ABSOLUTE**3).sum(1),
    "huber": np.where(ABSOLUTE <= 1, ERRORS**2 / 2, ABSOLUTE - 0.5).sum(1),
    "log_cosh": np.log(np.cosh(ERRORS)).sum(1),
}


def test_every_regression_loss_has_a_closed_form_here():
    real = {name for name, kind in losses.LOSS_KINDS.items() if "real" in kind.targets}
    assert set(CLOSED_FORMS) == real - {
        "gaussian_nll"
    }  # of two outputs for each target: tests/losses/test_likelihood.py


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_value_and_gradient_against_numpy(name):
    loss = losses.LOSSES[name]
    with jax.enable_x64(True):
        predictions, targets = jnp.asarray(PREDICTIONS), jnp.asarray(TARGETS)
        values = loss(predictions, targets)
        assert values.shape == (4,)
        np.testing.assert_allclose(values, CLOSED_FORMS[name], rtol=1e-12)
        gradient = jax.grad(lambda p: jnp.sum(loss(p, targets)))(predictions)
        step = 1e-6
        for index in [(0, 0), (2, 1), (3, 2)]:
            ends = [predictions.at[index].add(sign * step) for sign in (1, -1)]
            up, down = (float(jnp.sum(loss(end, targets))) for end in ends)
            np.testing.assert_allclose(gradient[index], (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_a_perfect_prediction_has_no_loss_and_no_gradient(name):
    targets = jnp.asarray(TARGETS, jnp.float32)
    value, gradient = jax.value_and_grad(lambda p: jnp.sum(losses.LOSSES[name](p, targets)))(targets)
    assert value == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(gradient, np.zeros((4, 3)))


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_shapes_must_match(name):
    loss = losses.LOSSES[name]
    ones = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(4,\)"):
        loss(ones, jnp.ones(4))
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(3, 3\)"):
        loss(ones, jnp.ones((3, 3)))
    # With a single output, targets [B] are a column and do not broadcast to all pairs.
    column = jnp.arange(4.0)[:, None]
    np.testing.assert_array_equal(loss(column, column[:, 0] + 1), loss(column, column + 1))


def test_squared_error_on_labels_is_squared_error_on_one_hot():
    labels = jnp.array([2, 0, 1, 1])
    predictions = jnp.asarray(PREDICTIONS, jnp.float32)
    expected = regression.squared_error(predictions, losses.one_hot(labels, 3))
    np.testing.assert_array_equal(regression.squared_error(predictions, labels), expected)


def test_numbers_inside_descriptions_may_be_traced():
    predictions, targets = jnp.asarray(PREDICTIONS, jnp.float32), jnp.asarray(TARGETS, jnp.float32)
    huber = jax.jit(lambda delta: losses.Huber(delta)(predictions, targets))
    np.testing.assert_allclose(huber(jnp.float32(100.0)), CLOSED_FORMS["half_squared_error"], rtol=1e-5)
    power = jax.jit(lambda p: losses.Lp(p)(predictions, targets))
    np.testing.assert_allclose(power(jnp.float32(1.0)), CLOSED_FORMS["absolute_error"], rtol=1e-5)


@pytest.mark.parametrize("wrong", [losses.Huber(0.0), losses.Lp(0.5), losses.Hinge(-1.0), losses.Focal(-1.0)])
def test_numbers_out_of_range_are_refused_in_one_line(wrong):
    with pytest.raises(ValueError, match="must be") as error:
        wrong.check()
    assert "\n" not in str(error.value)
    losses.LOSSES[losses.name_of(wrong)].check()
