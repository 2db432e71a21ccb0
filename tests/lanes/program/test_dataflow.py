"""What a traced function depends on, and which indices are out of range, against cases worked out by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.program.dataflow import analyse
from lanes.program.dataflow_rules import Value

P = jnp.zeros((4, 3))
LABELS = jnp.zeros(4, jnp.int32)


def analysed(function, *args, bounds=None):
    """The inputs (as a set of positions) that the first output depends on, and (index, size) of each index out of range."""
    jaxpr = jax.make_jaxpr(function)(*args)
    inputs = [Value(1 << at) for at in range(len(jaxpr.in_avals))]
    for at, (low, high) in (bounds or {}).items():
        inputs[at] = Value(1 << at, low, high, attained=True)
    outputs, found = analyse(jaxpr, inputs)
    depends = {at for at in range(len(inputs)) if outputs[0].depends >> at & 1}
    return depends, [(bad.index, bad.size) for bad in found]


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (lambda p: p[..., 2], []),
        (lambda p: p[..., 3], [(3, 3)]),
        (lambda p: p[:, -3], []),
        (lambda p: p[:, -4], [(-1, 3)]),
        (lambda p: p[5], [(5, 4)]),
        (lambda p: p[:, [0, 3]], [(3, 3)]),
        (lambda p: p[:, np.arange(3)], []),
        (lambda p: jnp.take(p, 7, axis=1), [(7, 3)]),
        (lambda p: p.at[:, 4].set(0.0), [(4, 3)]),
        (lambda p: p.at[:, 2].add(1.0), []),
        (lambda p: jax.lax.dynamic_slice_in_dim(p, 2, 2, axis=1), [(2, 3)]),
        (lambda p: jax.vmap(lambda row: row[3])(p), [(3, 3)]),
        (lambda p: jax.jit(lambda p: p[0, 9])(p), [(9, 3)]),
        (lambda p: jax.lax.fori_loop(0, 3, lambda i, total: total + p[i, i], 0.0), []),
        (lambda p: jax.lax.cond(p[0, 0] > 0, lambda: p[:, 4], lambda: p[:, 0]), [(4, 3)]),
        (lambda p: p[jnp.arange(4), jnp.argmax(p, axis=1)], []),
    ],
)
def test_an_index_out_of_range_is_found(read, found):
    assert analysed(read, P)[1] == found


def test_the_gradient_has_the_index_of_what_it_differentiates():
    assert (3, 3) in analysed(jax.grad(lambda p: jnp.sum(p[:, 3])), P)[1]


@pytest.mark.parametrize(("highest", "found"), [(2, []), (3, [(3, 3)])])
def test_labels_index_up_to_the_largest_that_occurs(highest, found):
    def of_label(p, labels):
        return p[jnp.arange(4), labels]

    def along_axis(p, labels):
        return jnp.take_along_axis(p, labels[:, None], axis=1)

    for function in (of_label, along_axis):
        assert analysed(function, P, LABELS, bounds={1: (0, highest)})[1] == found


def test_tokens_beyond_an_embedding_are_found():
    tokens, layer = jnp.zeros((4, 5), jnp.int32), nn.Embed(6, 3)
    variables = jax.eval_shape(layer.init, jax.random.key(0), tokens)
    assert analysed(layer.apply, variables, tokens, bounds={1: (0, 5)})[1] == []
    assert analysed(layer.apply, variables, tokens, bounds={1: (0, 6)})[1] == [(6, 6)]
    shifted = analysed(lambda v, t: layer.apply(v, t + 1), variables, tokens, bounds={1: (0, 5)})
    assert shifted[1] == [(6, 6)]
    # Not every part of the tokens holds the largest one.
    assert analysed(lambda v, t: layer.apply(v, t[:, 1:]), variables, tokens, bounds={1: (0, 6)})[1] == []


@pytest.mark.parametrize(
    ("function", "depends"),
    [
        (lambda a, b: a + b, {0, 1}),
        (lambda a, b: a + jnp.zeros(3) * b, {0}),
        (lambda a, b: a + 0.0 * jnp.sum(b), {0}),
        (lambda a, b: jnp.where(jnp.arange(3) < 3, a, b), {0}),
        (lambda a, b: jax.grad(lambda a: jnp.sum(a**2) + jnp.sum(jax.lax.stop_gradient(a) * b))(a), {0}),
        (lambda a, b: jax.grad(lambda a: jnp.sum(a**2) + jnp.sum(b**2))(a), {0}),
        (lambda a, b: jax.lax.scan(lambda c, x: (c * x, c), 1.0, a)[0] + jnp.sum(b) * 0, {0}),
        (lambda a, b: jax.lax.fori_loop(0, 5, lambda _, c: (c[1], c[2], c[2] + b), (a, a, a))[0], {0, 1}),
        (lambda a, b: jax.lax.cond(b[0] > 0, lambda: a, lambda: 2 * a), {0, 1}),
        (lambda a, b: jax.checkpoint(lambda a: a * 2)(a) + jax.nn.relu(b) * 0, {0}),
    ],
)
def test_dependences_follow_the_program(function, depends):
    assert analysed(function, jnp.ones(3), jnp.ones(3))[0] == depends


def test_bounds_of_an_integer_that_wraps_are_forgotten():
    def wrapped(p, labels):
        return p[jnp.arange(4), (labels.astype(jnp.uint8) + jnp.uint8(254)).astype(jnp.int32)]

    assert analysed(wrapped, P, LABELS, bounds={1: (2, 4)})[1] == []
