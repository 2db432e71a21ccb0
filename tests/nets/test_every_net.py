"""The smallest net of every family: finite steps in two precisions, traced rates, refusals in one line."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core

import nets
from nets import Maxout, PerLayer

IMAGE = (8, 8, 1)
SMALLEST = {
    "linear": (nets.Linear(), (5,)),
    "perceptron": (nets.Linear(threshold=True), (5,)),
    "mlp": (nets.MLP(widths=(4,), norm="batch_norm"), (5,)),
    "maxout_mlp": (nets.MLP(widths=(4,), activation=PerLayer(Maxout())), (5,)),
    "rbf": (nets.RBF(centers=4), (5,)),
    "cnn": (nets.CNN(widths=(4, 4), windows=(3, 3)), (12, 1)),
    "lenet5": (nets.LeNet5(widths=(6,)), (12, 12, 1)),
    "nin": (nets.NIN(widths=(4,) * 8), IMAGE),
    "resnet": (nets.ResNet(depth=8, width=2), IMAGE),
    "plain": (nets.ResNet(depth=14, width=2, residual=False), (6, 1)),
    "wide_resnet": (nets.ResNet(depth=10, width=2, widen=2, form="wide"), IMAGE),
    "stochastic_depth": (nets.ResNet(depth=14, width=2, drop_path=0.5, norm=None), (6, 1)),
    "fractalnet": (nets.FractalNet(widths=(2,), columns=2, drop_path=0.2), IMAGE),
    "neocognitron": (nets.Neocognitron(planes=(2, 3), window=3), IMAGE),
    "rnn": (nets.Recurrent(cell="rnn", widths=(3,), head="mean"), (5, 2)),
    "lstm": (nets.Recurrent(cell="lstm", widths=(3, 3)), (5, 2)),
    "gru": (nets.Recurrent(cell="gru", widths=(3,), bidirectional=True, head="all"), (5, 2)),
    "autoencoder": (nets.Autoencoder(widths=(4,), code=2), (6,)),
    "tied": (nets.Autoencoder(widths=(4,), code=2, tied=True, code_unit="sigmoid", code_noise=1.0), (6,)),
    "conv_autoencoder": (nets.Autoencoder(widths=(2, 3), code=2, convolutional=True), (5, 6, 1)),
    "vae": (nets.VAE(widths=(4,)), (6,)),
    "conv_vae": (nets.VAE(widths=(2,), convolutional=True), (5, 6, 1)),
    "rbm": (nets.RBM(code=3), (6,)),
    "gan": (nets.GAN(latent=2, widths=(4,)), (6,)),
}
LARGE = {
    "squeezenet": (nets.SqueezeNet(), (32, 32, 3)),
    "googlenet": (nets.GoogLeNet(), (32, 32, 3)),
    "alexnet": (nets.AlexNet(form="cifar", widths=(8,)), (8, 8, 3)),
    "resnet50": (nets.ResNet(depth=50, form="imagenet", width=4), (32, 32, 3)),
}


def examples(shape):
    return jax.random.uniform(jax.random.key(0), (4, *shape))


def leaves(tree):
    return jax.tree.leaves(jax.device_get(tree))


def loss(net, variables, x, seed=2):
    dropout, sample = jax.random.split(jax.random.key(seed))
    rngs = {"dropout": dropout, "sample": sample}
    result, changed = net.apply(variables, x, train=True, rngs=rngs, mutable=["batch_stats"])
    return sum((leaf.astype(jnp.float32) ** 2).mean() for leaf in jax.tree.leaves(result)), changed


def step(net, x, variables):
    """A gradient step with a traced dropout rate, as a compiled function of variables and rate."""
    has_dropout = "dropout" in net.__dataclass_fields__

    def stepped(variables, rate, x):
        run = net.clone(dropout=rate) if has_dropout else net
        params = variables["params"]
        slopes, changed = jax.grad(lambda p: loss(run, {**variables, "params": p}, x), has_aux=True)(params)
        new = jax.tree.map(lambda p, s: p - 0.01 * s.astype(p.dtype), params, slopes)
        return {**variables, **changed, "params": new}

    return jax.jit(stepped), (variables, jnp.float32(0.2), x)


def assert_steps_are_finite(net, shape, variables_of):
    """Runs in half precision; only traces in float32, in which tests/lanes/engine/test_every_net_in_lanes.py trains."""
    net.check(shape)
    x = examples(shape)
    stepped, (variables, rate, x) = step(net, x, variables_of(net, x))
    whole = jax.eval_shape(stepped, variables, rate, x)
    assert jax.tree.structure(whole) == jax.tree.structure(variables)
    assert {leaf.dtype for leaf in jax.tree.leaves(whole)} == {jnp.dtype(jnp.float32)}
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), variables)
    new = stepped(half, rate, x.astype(jnp.bfloat16))
    assert jax.tree.structure(new) == jax.tree.structure(variables)
    assert all(leaf.dtype == jnp.bfloat16 and np.isfinite(leaf.astype(np.float32)).all() for leaf in leaves(new))
    moved = [(a != b).any() for a, b in zip(leaves(new["params"]), leaves(half["params"]))]
    assert any(moved) or getattr(net, "threshold", False)


VARIANTS = (
    *("lenet5", "nin", "plain", "wide_resnet", "stochastic_depth", "fractalnet", "neocognitron"),
    *("conv_autoencoder", "conv_vae", "gru", "rnn", "tied", "lstm", "resnet", "vae", "gan"),
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in VARIANTS else name for name in SMALLEST]
)
def test_a_step_is_finite_in_both_precisions(name, variables_of):
    assert_steps_are_finite(*SMALLEST[name], variables_of)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_step_of_large_nets_is_finite_in_both_precisions(name, variables_of):
    assert_steps_are_finite(*LARGE[name], variables_of)


@pytest.mark.parametrize("name", nets.NETS)
def test_table_holds_hashable_picklable_descriptions(name):
    net = nets.NETS[name]
    assert hash(net) == hash(net.clone())
    assert pickle.loads(pickle.dumps(net)) == net


def convolutions(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            yield equation.params
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if isinstance(inner, core.Jaxpr):
                yield from convolutions(inner)


@pytest.mark.parametrize("name", ["cnn", "lenet5", "nin", "resnet", "fractalnet", "neocognitron", "conv_autoencoder"])
def test_training_uses_the_fast_path_of_convolutions(name):
    net, shape = SMALLEST[name]
    x = jax.ShapeDtypeStruct((4, *shape), jnp.float32)
    variables = jax.eval_shape(lambda x: net.init(jax.random.key(0), x, train=False), x)
    rest = {kind: tree for kind, tree in variables.items() if kind != "params"}
    slopes = jax.grad(lambda p, rest, x: loss(net, {**rest, "params": p}, x)[0])
    found = list(convolutions(jax.make_jaxpr(slopes)(variables["params"], rest, x).jaxpr))
    ones = (1,) * (len(shape) + 1)
    space = "HWD"[: len(shape) - 1]
    ordinary = lax.conv_dimension_numbers(ones, ones, (f"N{space}C", f"{space}IO", f"N{space}C"))
    assert found
    assert all(p["dimension_numbers"] == ordinary and p["batch_group_count"] == 1 for p in found)


REFUSED = {
    "depth": (nets.ResNet(depth=21), (32, 32, 3), r"depth 21 must be 6n\+2 .*: use 20 or 26"),
    "wide depth": (nets.ResNet(depth=20, form="wide"), (32, 32, 3), r"depth 20 must be 6n\+4 .*: use 16 or 22"),
    "imagenet depth": (nets.ResNet(depth=20, form="imagenet"), (224, 224, 3), "depth 20 must be 18, 34"),
    "resnet form": (nets.ResNet(form="mnist"), (32, 32, 3), "no form 'mnist'"),
    "drop path": (nets.ResNet(drop_path=1.0), (32, 32, 3), r"drop_path 1.0 must be in \[0, 1\)"),
    "resnet maxout": (nets.ResNet(activation=PerLayer(Maxout())), (32, 32, 3), "maxout of 2 pieces"),
    "small": (nets.LeNet5(), (8, 8, 1), "at least 12×12, got 8×8"),
    "small alexnet": (nets.AlexNet(), (32, 32, 3), "at least 63×63, got 32×32"),
    "small resnet": (nets.ResNet(), (2, 2, 3), "sides of at least 4"),
    "small heads": (nets.GoogLeNet(auxiliary=True), (32, 32, 3), "at least 65×65"),
    "rank": (nets.LeNet5(), (784,), r"shape \[H, W, C\], got \(784,\)"),
    "cnn rank": (nets.CNN(), (40,), r"\[\*space, C\]"),
    "small cnn": (nets.CNN(widths=(4,) * 4, windows=(5, 5, 5, 5)), (12, 1), "too small for layer 2"),
    "cnn lengths": (nets.CNN(widths=(4,)), (40, 1), "1 widths and 3 windows"),
    "recurrent rank": (nets.Recurrent(), (8, 8, 1), r"series \[T, C\] or tokens \[T\]"),
    "cell": (nets.Recurrent(cell="lstn"), (8, 1), "no form 'lstn': use 'rnn' or 'lstm' or 'gru'"),
    "widths": (nets.MLP(widths=(0,)), (5,), r"widths \(0,\) must hold positive integers"),
    "norm": (nets.MLP(norm="batch"), (5,), "norm 'batch' is unknown"),
    "nin widths": (nets.NIN(widths=(4,)), (8, 8, 1), "eight hidden layers, got 1"),
    "tied code": (nets.Autoencoder(widths=(), code=9, tied=True), (2, 4), "code 9 is larger than the 8 inputs"),
    "tied convolution": (nets.Autoencoder(tied=True, convolutional=True), (8, 8, 1), "tied weights need dense layers"),
    "no channels": (nets.VAE(widths=(), convolutional=True), (8, 8, 1), "no widths"),
    "conv vae rank": (nets.VAE(convolutional=True), (64,), "1 to 3 dimensions of space"),
    "basis": (nets.RBF(basis="linear"), (5,), "no form 'linear'"),
    "squash": (nets.GAN(squash="relu"), (5,), "squash 'relu' is unknown"),
    "small fractal": (nets.FractalNet(), (1, 1, 3), "sides of at least 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_nets_are_refused_in_one_line(case):
    net, shape, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as error:
        net.check(shape)
    assert "\n" not in str(error.value)
