"""The convolution against XLA's, in value and in every kind of derivative; the transposed convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core

from nets import HiddenConv, TransposedConvolution, fast_convolution, kernel_gradients
from nets.convolution import convolution
from nets.fast_convolution import convolve

CASES = {
    "1d_strided": (1, 2, 1, 1, 1, "SAME"),
    "2d_strided": (2, 3, 1, 1, 1, ((0, 2), (1, 0))),
    "2d_dilated": (2, 1, 2, 1, 1, "VALID"),
    "2d_transposed": (2, 1, 1, 2, 1, ((2, 1), (1, 1))),
    "2d_groups": (2, 2, 1, 1, 2, "SAME"),
    "3d_strided": (3, 2, 1, 1, 1, "SAME"),
    "2d_folded": (2, 1, 1, 1, 1, "SAME"),
    "2d_folded_one_sided": (2, 1, 1, 1, 1, ((0, 2), (3, 1))),
    "2d_folded_spread": (2, 1, 1, 1, 1, "VALID"),
}


def arguments(rank, groups, dtype):
    x_key, w_key = jax.random.split(jax.random.key(rank))
    x = jax.random.normal(x_key, (2, *(7, 6, 5)[:rank], 4), dtype)
    return x, jax.random.normal(w_key, (*(3, 2, 3)[:rank], 4 // groups, 6), dtype)


def layouts(rank):
    space = "HWD"[:rank]
    return f"N{space}C", f"{space}IO", f"N{space}C"


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_all_derivatives_equal_those_of_xla(case, backend, monkeypatch):
    """In the form of a CPU, and in that of a GPU, which a CPU computes as well."""
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    rank, stride, dilation, inner, groups, padding = CASES[case]
    with jax.enable_x64(True):
        x, w = arguments(rank, groups, jnp.float64)
        fixed = ((stride,) * rank, padding, (inner,) * rank, (dilation,) * rank)

        def ours(x, w):
            return jnp.sin(convolve(x, w, *fixed, feature_group_count=groups)).sum()

        def xlas(x, w):
            numbers = lax.conv_dimension_numbers(x.shape, w.shape, layouts(rank))
            y = lax.conv_general_dilated(x, w, *fixed, numbers, groups)
            return jnp.sin(y).sum()

        def derivatives(f):
            value, slopes = jax.value_and_grad(f, argnums=(0, 1))(x, w)
            _, forward = jax.jvp(f, (x, w), (w.sum() * x, 0.3 * w))
            _, curvature = jax.jvp(jax.grad(f, argnums=1), (x, w), (x, w))  # forward over reverse
            return value, slopes, forward, curvature

        expected, got = jax.jit(lambda: (derivatives(xlas), derivatives(ours)))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9), expected, got)


def test_a_gpu_takes_large_convolutions_as_they_are(monkeypatch):
    """Those with more numbers in their patches than a product was timed with."""
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")

    def primitives(x, w):
        traced = jax.make_jaxpr(lambda x, w: convolve(x, w, (1, 1), "SAME"))(x, w)
        return "conv_general_dilated" in str(traced)

    kernel = jax.ShapeDtypeStruct((3, 3, 16, 16), jnp.float32)
    images = [jax.ShapeDtypeStruct((64, size, size, 16), jnp.float32) for size in (32, 64)]
    assert [primitives(x, kernel) for x in images] == [False, True]


def test_float32_gradients_equal_those_of_xla():
    x, w = arguments(2, 1, jnp.float32)
    numbers = lax.conv_dimension_numbers(x.shape, w.shape, layouts(2))

    def loss(f):
        return jax.jit(jax.grad(lambda w: (f(w) ** 2).sum()))(w)

    ours = loss(lambda w: convolve(x, w, (1, 1), "SAME"))
    xlas = loss(lambda w: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=numbers))
    np.testing.assert_allclose(ours, xlas, rtol=1e-5, atol=1e-4)


def test_reverse_over_reverse_and_vmap():
    x, w = arguments(1, 1, jnp.float32)

    def slope_norm(w):
        return (jax.grad(lambda x: (convolve(x, w, (1,), "SAME") ** 2).sum())(x) ** 2).sum()

    step = 1e-2
    direction = jnp.ones_like(w)
    numerical = (slope_norm(w + step * direction) - slope_norm(w - step * direction)) / (2 * step)
    np.testing.assert_allclose((jax.grad(slope_norm)(w) * direction).sum(), numerical, rtol=1e-2)
    kernels = jnp.stack([w, 2 * w])
    both = jax.vmap(lambda w: convolve(x, w, (1,), "SAME"))(kernels)
    np.testing.assert_allclose(both[1], 2 * both[0], rtol=1e-5, atol=1e-5)


AS_PRODUCTS = {  # batch, height and width, window, (in, out), padding, strides
    "same": (4, (7, 6), (3, 3), (4, 6), "SAME", 1),
    "prime_batch": (5, (6, 5), (3, 2), (3, 2), "VALID", 1),
    "one_sided": (2, (5, 6), (2, 3), (1, 4), ((0, 3), (2, 0)), 1),
    "row": (2, (4, 6), (1, 3), (4, 4), "SAME", 1),
    "column": (2, (4, 6), (3, 1), (2, 5), "SAME", 1),
    "pointwise": (3, (4, 4), (1, 1), (5, 3), "SAME", 1),
    "whole_image": (4, (4, 3), (4, 3), (2, 3), "VALID", 1),
    "one_image": (1, (5, 5), (3, 3), (2, 2), 1, 1),
    "strides": (4, (7, 6), (3, 3), (4, 6), "SAME", 2),
    "strides, one sided": (3, (5, 7), (2, 3), (1, 4), ((0, 3), (2, 0)), 3),
    "strides, pointwise": (3, (5, 4), (1, 1), (5, 3), "VALID", 2),
}


QUICK = ("same", "prime_batch", "one_sided", "pointwise", "strides")


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in AS_PRODUCTS]
)
def test_the_kernels_gradient_as_a_product_equals_that_of_xla(case, monkeypatch):
    """In value, reverse, forward, forward over reverse and reverse over reverse, and over a batch of kernels."""
    monkeypatch.setattr(kernel_gradients, "SMALL", 0)
    monkeypatch.setattr(kernel_gradients, "SMALL_STRIDED", 0)
    monkeypatch.setattr(kernel_gradients, "CACHED", 2 * 7 * 6 * 3 * 10)  # so that there are several blocks
    monkeypatch.setattr(fast_convolution, "FEW", 0)  # and no folding
    batch, space, window, channels, padding, stride = AS_PRODUCTS[case]
    strides = (stride, stride)
    padding = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (batch, *space, channels[0]), jnp.float64)
        w = jax.random.normal(jax.random.key(1), (*window, *channels), jnp.float64)

        def derivatives(convolved):
            def f(x, w):
                return jnp.sin(convolved(x, w)).sum()

            def steepness(w):
                return (jax.grad(f, argnums=1)(x, w) ** 2).sum()

            slopes = jax.grad(f, argnums=(0, 1))(x, w)
            _, forward = jax.jvp(f, (x, w), (2 * x, 0.3 * w))
            _, curvature = jax.jvp(jax.grad(f, argnums=1), (x, w), (x, w))
            return slopes, forward, curvature, jax.grad(steepness)(w), jax.vmap(jax.grad(f, 1), (None, 0))(x, w[None])

        def xlas(x, w):
            return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=layouts(2))

        def ours(x, w):
            return convolve(x, w, strides, padding)

        products = str(jax.make_jaxpr(jax.grad(lambda w: (ours(x, w) ** 2).sum()))(w))
        assert "dot_general" in products
        expected, got = jax.jit(lambda: (derivatives(xlas), derivatives(ours)))()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9), expected, got)


@pytest.mark.parametrize(("window", "stride", "is_product"), [(3, 1, True), (3, 2, True), (1, 2, True), (4, 2, False)])
def test_the_kernels_gradient_of_a_net_is_a_product_to_float32s_rounding(window, stride, is_product):
    """16 channels, where kernels' gradients as convolutions take longer than all else; not where patches overlap much."""
    x = jax.random.normal(jax.random.key(0), (6, 32, 32, 16))
    w = jax.random.normal(jax.random.key(1), (window, window, 16, 16))
    strides = (stride, stride)

    def slopes(convolved):
        return jax.grad(lambda w: (convolved(x, w) ** 2).sum())

    ours = slopes(lambda x, w: convolve(x, w, strides, "SAME"))
    assert len(list(convolutions(jax.make_jaxpr(ours)(w).jaxpr))) == (1 if is_product else 2)  # forward is one
    xlas = slopes(lambda x, w: lax.conv_general_dilated(x, w, strides, "SAME", dimension_numbers=layouts(2)))
    got, expected = jax.jit(lambda w: (ours(w), xlas(w)))(w)
    np.testing.assert_allclose(got, expected, atol=1e-5 * float(jnp.abs(expected).max()))


def convolutions(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if isinstance(inner, core.Jaxpr):
                yield from convolutions(inner)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_training_contains_only_ordinary_convolutions(rank):
    """Inside a loop on CPU, any other layout is ten times slower (jax issue 12868)."""
    x, w = arguments(rank, 1, jnp.float32)

    def train(w, x):
        def step(w, _):
            slopes = jax.grad(lambda w, x: (convolve(x, w, (2,) * rank, "SAME") ** 2).sum(), argnums=(0, 1))(w, x)
            return w - 1e-3 * slopes[0], slopes[1]

        return lax.scan(step, w, None, length=2)

    found = list(convolutions(jax.make_jaxpr(train)(w, x).jaxpr))
    ones = (1,) * (rank + 2)
    ordinary = lax.conv_dimension_numbers(ones, ones, layouts(rank))
    assert len(found) == 3  # forward and two gradients
    assert all(e.params["dimension_numbers"] == ordinary and e.params["batch_group_count"] == 1 for e in found)


def test_few_channels_are_folded_into_more():
    """Below 17 channels XLA's CPU backend uses a kernel that is several times slower."""
    x, w = jnp.ones((2, 14, 14, 6)), jnp.ones((5, 5, 6, 16))

    def channels(function, *args):
        return [max(e.invars[1].aval.shape[-2:]) for e in convolutions(jax.make_jaxpr(function)(*args).jaxpr)]

    def slopes(padding):
        return jax.grad(lambda x: (convolve(x, w, (1, 1), padding) ** 2).sum())

    assert channels(slopes("SAME"), x) == [32, 32]  # forward and the gradient
    assert channels(slopes("VALID"), x) == [32]  # here the gradient is a matrix product
    enough = jnp.ones((2, 8, 8, 16)), jnp.ones((3, 3, 16, 18))
    assert channels(lambda x, w: convolve(x, w, (1, 1), "SAME"), *enough) == [18]


WIDENED = {  # x, w, strides, padding, dilation of x: channels of the convolutions forward and to the gradient of x
    "strides": ((8, 8, 8, 1), (3, 3, 1, 16), (2, 2), "SAME", (1, 1), [(1, 17), (16, 1)]),
    "strides, odd": ((8, 8, 8, 5), (3, 3, 5, 12), (2, 2), "SAME", (1, 1), [(6, 17), (12, 5)]),
    "too many to fold": ((8, 8, 8, 12), (3, 3, 12, 16), (1, 1), "SAME", (1, 1), [(12, 17), (16, 17)]),
    "odd": ((8, 9, 9, 3), (3, 3, 3, 32), (1, 1), "SAME", (1, 1), [(4, 32), (32, 3)]),
    "many outputs": ((8, 9, 9, 3), (3, 3, 3, 64), (1, 1), "SAME", (1, 1), [(3, 64), (64, 3)]),
    "one too few": ((8, 8, 8, 16), (3, 3, 16, 16), (1, 1), "SAME", (1, 1), [(16, 17), (16, 17)]),
    "enough": ((8, 8, 8, 17), (3, 3, 17, 17), (1, 1), "SAME", (1, 1), [(18, 17), (18, 17)]),
    "a product": ((8, 8, 8, 16), (1, 1, 16, 16), (1, 1), "SAME", (1, 1), [(16, 16), (16, 16)]),
    "transposed": ((8, 7, 7, 16), (3, 3, 16, 1), (1, 1), ((1, 2), (1, 2)), (2, 2), [(16, 1), (1, 17)]),
    "transposed, odd": ((8, 7, 7, 16), (3, 3, 16, 3), (1, 1), ((1, 2), (1, 2)), (2, 2), [(16, 3), (4, 17)]),
}


@pytest.mark.parametrize("case", WIDENED)
def test_channels_of_zeros_are_added_where_they_make_a_convolution_fast(case):
    """Values, both gradients and forward mode are those of `lax`, whatever is added."""
    shape, window, strides, padding, dilation, expected = WIDENED[case]
    x, w = (jax.random.normal(jax.random.key(i), size) for i, size in enumerate((shape, window)))
    numbers = ("NHWC", "HWIO", "NHWC")

    def ours(x, w):
        return convolve(x, w, strides, padding, lhs_dilation=dilation)

    def plain(x, w):
        return lax.conv_general_dilated(
            x, w, strides, padding, lhs_dilation=dilation, dimension_numbers=numbers, precision="highest"
        )

    slope = jax.random.normal(jax.random.key(2), plain(x, w).shape)

    def everything(function):
        y, backwards = jax.vjp(function, x, w)
        return y, *backwards(slope), jax.jvp(function, (x, w), (2 * x, w))[1]

    for found, wanted in zip(everything(ours), everything(plain), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(jnp.abs(wanted).max()))
    traced = jax.make_jaxpr(jax.grad(lambda x: (ours(x, w) * slope).sum()))(x)
    backward = list(convolutions(traced.jaxpr))[-1].invars[1].aval.shape[-2:]
    (forward,) = (e.invars[1].aval.shape[-2:] for e in convolutions(jax.make_jaxpr(ours)(x, w).jaxpr))
    assert [forward, backward] == expected


def test_other_layouts_are_refused():
    x, w = arguments(2, 1, jnp.float32)
    numbers = lax.conv_dimension_numbers(x.shape, w.shape, ("NHWC", "HWOI", "NHWC"))
    with pytest.raises(ValueError, match="channels last"):
        convolve(x, w, (1, 1), "SAME", dimension_numbers=numbers)


def test_three_small_windows_reach_as_far_as_a_large_one():
    """Three 3×3 layers (27 C² weights) have the receptive field of one 7×7 layer (49 C² weights)."""

    def reach(windows):
        w = [jnp.ones((k, k, 1, 1)) for k in windows]

        def through(x):
            for kernel in w:
                x = convolve(x, kernel, (1, 1), "SAME")
            return x[0, 7, 7, 0]

        return jax.grad(through)(jnp.ones((1, 15, 15, 1)))[0, :, :, 0] != 0

    assert (reach([3, 3, 3]) == reach([7])).all()
    assert int(reach([7]).sum()) == 49


@pytest.mark.parametrize(
    ("window", "stride", "padding"), [(3, 2, "SAME"), (2, 2, "SAME"), (3, 2, "VALID"), (2, 3, "VALID")]
)
def test_transposed_convolution_equals_that_of_lax(window, stride, padding):
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 3))
    layer = TransposedConvolution(6, window, stride, padding)
    variables = layer.init(jax.random.key(1), x)
    kernel = variables["params"]["kernel"]
    expected = lax.conv_transpose(x, kernel, (stride, stride), padding)
    np.testing.assert_allclose(layer.apply(variables, x), expected, rtol=1e-5, atol=1e-5)


def test_options_of_the_layer():
    x = jnp.ones((1, 8, 8, 4))
    layer = convolution(6, (3, 1), 2, strides=2, padding=0, dilation=2, groups=2, bias=0.5)
    variables = layer.init(jax.random.key(0), x)
    assert variables["params"]["kernel"].shape == (3, 1, 2, 6)
    assert layer.apply(variables, x).shape == (1, 2, 4, 6)
    np.testing.assert_array_equal(variables["params"]["bias"], np.full(6, 0.5, np.float32))
    without = HiddenConv(6, use_bias=False).init(jax.random.key(0), x, train=False)
    assert "bias" not in without["params"]["conv"]
