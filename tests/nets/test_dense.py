"""The dense layers' product: derivatives are those of `lax.dot_general`; a small kernel's is computed in another form."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from nets import MLP
from nets.dense import BLOCK, FEW, MATRICES, dense, product


def arrays(batch, inputs, outputs):
    keys = jax.random.split(jax.random.key(batch), 2)
    return jax.random.normal(keys[0], (batch, inputs)), jax.random.normal(keys[1], (inputs, outputs))


def derivatives(of, x, w):
    def total(x, w):
        return jnp.sin(of(x, w, MATRICES)).sum()

    def along(w):
        return jax.jvp(jax.grad(total, argnums=1), (x, w), (x, 2 * w))[1]

    slopes = jax.grad(total, argnums=(0, 1))(x, w)
    lanes = jax.vmap(jax.grad(total, argnums=(0, 1)))(jnp.stack([x, -x]), jnp.stack([w, 3 * w]))
    return slopes, lanes, jax.jvp(total, (x, w), (x, w)), along(w), jax.grad(lambda w: (along(w) ** 2).sum())(w)


def compiled_update(batch, inputs, outputs):
    """XLA's text of a step of gradient descent of four nets."""
    x, w = arrays(batch, inputs, outputs)

    def updated(w, x):
        return w - 0.1 * jax.grad(lambda w: (product(x, w, MATRICES) ** 2).sum())(w)

    return jax.jit(jax.vmap(updated)).lower(jnp.stack([w] * 4), jnp.stack([x] * 4)).compile().as_text()


@settings(max_examples=6, deadline=None)
@given(batch=st.integers(1, 9), inputs=st.integers(2, 70), outputs=st.integers(1, FEW + 3))
@example(batch=5, inputs=BLOCK, outputs=BLOCK)
def test_derivatives_are_those_of_the_plain_product(batch, inputs, outputs):
    """Of any order, forward and reverse, of lanes."""
    x, w = arrays(batch, inputs, outputs)
    ours, plain = (jax.jit(derivatives, static_argnums=0)(of, x, w) for of in (product, lax.dot_general))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), ours, plain)


@pytest.mark.parametrize(
    ("batch", "inputs", "outputs"),
    [(32, 64, 10), (32, 64, 64), (17, 64, 128), (64, 64, 64), (256, 128, 3), (5, 784, 25)],
)
def test_gradients_are_equal_to_the_bit(batch, inputs, outputs):
    """The digits MLP's, and others in whose form that is promised."""
    x, w = (jnp.stack([part, -part, 2 * part, part**2]) for part in arrays(batch, inputs, outputs))

    def slopes(of):
        return jax.jit(jax.vmap(jax.grad(lambda w, x: jnp.sin(of(x, w, MATRICES)).sum())))(w, x)

    np.testing.assert_array_equal(slopes(product), slopes(lax.dot_general))


@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "is_narrow"),
    [(32, 64, 10, True), (3, 64, 32, True), (128, 120, 90, True), (32, 120, 90, False), (32, 12, 10, False)],
)
def test_a_narrow_kernels_gradient_is_compiled_transposed(batch, inputs, outputs, is_narrow):
    """XLA does not turn it back, also where the optimizer's update follows."""
    text = compiled_update(batch, inputs, outputs)
    found = re.findall(rf"f32\[4,{outputs},{inputs}\]\{{2,1,0\}} dot\(", text)
    assert bool(found) == is_narrow


@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "is_small"),
    [(32, 64, 128, True), (3, 128, 64, True), (33, 64, 128, False), (32, 64, 100, False)],
)
def test_the_gradient_of_small_factors_is_a_product_of_arrays_as_they_lie(batch, inputs, outputs, is_small):
    text = compiled_update(batch, inputs, outputs)
    found = re.findall(rf"f32\[4,{inputs},{outputs}\]\{{2,1,0\}} dot\(.*lhs_contracting_dims=\{{(.)\}}", text)
    assert found == ["2" if is_small else "1"]


@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "is_written"),
    [
        (32, 64, 10, True),
        (256, 128, 2, True),
        (257, 64, 10, False),
        (32, 40, 10, False),
        (32, 16, 8, False),
        (99, 96, 48, False),
    ],
)
def test_the_slopes_of_a_narrow_kernel_lie_as_their_product_reads_them(batch, inputs, outputs, is_written):
    (found,) = re.findall(
        rf"f32\[4,{outputs},{inputs}\]\{{2,1,0\}} dot\(.*lhs_contracting_dims=\{{(.)\}}",
        compiled_update(batch, inputs, outputs),
    )
    assert found == ("2" if is_written else "1")


def test_sequences_and_other_contractions_are_plain_products():
    x, w = jnp.ones((2, 5, 64)), jnp.ones((64, 3))
    numbers = (((2,), (0,)), ((), ()))
    assert "custom_jvp" not in str(jax.make_jaxpr(lambda x, w: product(x, w, numbers))(x, w))
    np.testing.assert_array_equal(product(x, w, numbers), lax.dot_general(x, w, numbers))
    assert product(x[0], w, MATRICES, preferred_element_type=jnp.float32).shape == (5, 3)


def test_a_layer_is_flaxs_own():
    x, _ = arrays(6, 40, 4)
    ours = dense(4, kernel_init=nn.initializers.lecun_normal(), name="output")
    theirs = nn.Dense(4, name="output")
    variables = ours.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, variables, theirs.init(jax.random.key(0), x))
    np.testing.assert_array_equal(ours.apply(variables, x), theirs.apply(variables, x))


def test_nets_have_it():
    x = jnp.ones((8, 40))
    net = MLP((20,), outputs=3)
    params = net.init(jax.random.key(0), x, train=False)["params"]
    slopes = jax.make_jaxpr(jax.grad(lambda params: net.apply({"params": params}, x, train=True).sum()))(params)
    assert str(slopes).count("reduce_precision") == 2
