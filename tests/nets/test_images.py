"""Parameter counts of published image nets, and the particulars of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import CNN, NIN, AlexNet, FractalNet, GoogLeNet, LeNet5, Linear, Neocognitron, ResNet, SqueezeNet
from nets.resnet import drop_path

SMALL, LARGE = (32, 32, 3), (224, 224, 3)
COUNTS = {
    "linear on CIFAR-10": (Linear(), SMALL, 30_730),
    "LeNet-5, 28×28": (LeNet5(), (28, 28, 1), 61_706),
    "LeNet-5, 32×32": (LeNet5(padding="VALID"), (32, 32, 1), 61_706),
    "CNN on MNIST-1D": (CNN(), (40, 1), 5_210),
    "AlexNet": (AlexNet(outputs=1000), LARGE, 61_100_840),
    "NIN": (NIN(), SMALL, 966_986),
    "SqueezeNet 1.0": (SqueezeNet(form="1.0", outputs=1000), LARGE, 1_248_424),
    "SqueezeNet 1.1": (SqueezeNet(form="1.1", outputs=1000), LARGE, 1_235_496),
    "GoogLeNet": (GoogLeNet(outputs=1000), LARGE, 6_624_904),
    "GoogLeNet with heads": (GoogLeNet(outputs=1000, auxiliary=True), LARGE, 13_004_888),
    "GoogLeNet of the paper": (GoogLeNet(outputs=1000, norm=None, window=5), LARGE, 6_998_552),
    "ResNet-20": (ResNet(depth=20), SMALL, 269_722),
    "ResNet-32": (ResNet(depth=32), SMALL, 464_154),
    "ResNet-44": (ResNet(depth=44), SMALL, 658_586),
    "ResNet-56": (ResNet(depth=56), SMALL, 853_018),
    "ResNet-110": (ResNet(depth=110), SMALL, 1_727_962),
    "plain-56": (ResNet(depth=56, residual=False), SMALL, 853_018),
    "ResNet-56, unrolled": (ResNet(depth=56, unrolled=True), SMALL, 853_018),
    "ResNet-18": (ResNet(depth=18, form="imagenet", outputs=1000), LARGE, 11_689_512),
    "ResNet-34": (ResNet(depth=34, form="imagenet", outputs=1000), LARGE, 21_797_672),
    "ResNet-50": (ResNet(depth=50, form="imagenet", outputs=1000), LARGE, 25_557_032),
    "ResNet-101": (ResNet(depth=101, form="imagenet", outputs=1000), LARGE, 44_549_160),
    "ResNet-152": (ResNet(depth=152, form="imagenet", outputs=1000), LARGE, 60_192_808),
    "WRN-28-10": (ResNet(depth=28, form="wide", widen=10), SMALL, 36_479_194),
    "FractalNet": (FractalNet(widths=(4,), columns=2), SMALL, 3 * 9 * 4 * 2 + 9 * 16 + 3 * 8 + 50),
    "Neocognitron": (Neocognitron(planes=(2,), window=3), (8, 8, 1), 9 * 2 + 2 + 32 * 10 + 10),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_the_published_ones(name, parameter_count):
    net, shape, count = COUNTS[name]
    net.check(shape)
    assert parameter_count(net, shape) == count


@pytest.mark.slow
def test_auxiliary_heads_are_evaluated_in_training_only():
    net = GoogLeNet(auxiliary=True, outputs=7)
    x = jax.ShapeDtypeStruct((2, 65, 65, 3), jnp.float32)

    def outputs(train):
        def both(x):
            variables = net.init(jax.random.key(0), x, train=False)
            return net.apply(variables, x, train=train, mutable=["batch_stats"])[0]

        return jax.eval_shape(both, x)

    assert [head.shape for head in outputs(True).auxiliary] == [(2, 7), (2, 7)]
    evaluated = outputs(False)
    assert evaluated.auxiliary == ()
    assert evaluated.prediction.shape == (2, 7)


@pytest.fixture(scope="module")
def small_residual():
    x = jax.random.normal(jax.random.key(0), (2, 6, 3))
    net = ResNet(depth=14, width=4)
    return net, jax.jit(lambda x: net.init(jax.random.key(1), x, train=False))(x), x


def unstacked(tree):
    """Parameters of the scanned form under the names of the unrolled form."""
    new = {}
    for name, value in tree.items():
        if not name.endswith("_rest"):
            new[name] = value
            continue
        repeats = jax.tree.leaves(value)[0].shape[0]
        for block in range(repeats):
            rest = jax.tree.map(lambda leaf, block=block: leaf[block], value)
            new[name.replace("rest", f"block_{block + 1}")] = rest
    return new


@pytest.mark.slow
def test_scanned_and_unrolled_blocks_compute_the_same(small_residual):
    net, variables, x = small_residual
    unrolled = net.clone(unrolled=True)
    flat = {kind: unstacked(tree) for kind, tree in variables.items()}
    apply = jax.jit(lambda n, v: n.apply(v, x, train=False), static_argnums=0)
    np.testing.assert_allclose(apply(net, variables), apply(unrolled, flat), rtol=1e-4, atol=1e-5)


def test_without_branches_only_the_shortcuts_remain(small_residual):
    """With γ = 0 at the end of each branch ("residual_out"), the net is its stem, shortcuts and readout."""
    net, variables, x = small_residual

    def silence(path, leaf):
        return leaf * 0 if any(getattr(key, "key", "").startswith("residual_out") for key in path) else leaf

    silent = jax.tree_util.tree_map_with_path(silence, variables)
    _, sown = jax.jit(lambda v: net.apply(v, x, train=False, mutable=["intermediates"]))(silent)
    stem = sown["intermediates"]["hidden"][0]
    last = sown["intermediates"]["stage_2_rest"]["hidden"][-1][-1]
    np.testing.assert_allclose(last[..., :4], stem[:, ::4], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(last[..., 4:], 0)


def test_drop_path_drops_examples_and_keeps_the_mean():
    y = drop_path(jnp.ones((10_000, 2, 3)), jnp.float32(0.25), jax.random.key(0))
    assert ((y == 0).all(axis=(1, 2)) | (jnp.abs(y - 4 / 3) < 1e-6).all(axis=(1, 2))).all()
    np.testing.assert_allclose(y.mean(), 1, atol=0.02)


@pytest.mark.slow
def test_stochastic_depth_is_off_in_evaluation_and_random_in_training(small_residual):
    net, variables, x = small_residual
    dropping = net.clone(drop_path=0.9)
    np.testing.assert_array_equal(net.apply(variables, x, train=False), dropping.apply(variables, x, train=False))

    @jax.jit
    def trained(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return dropping.apply(variables, x, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    assert (trained(0) != trained(1)).any()


def test_fractal_block_has_paths_of_every_length():
    """With kernels that double each pixel, a path of n convolutions multiplies by 2^n; a join averages."""
    net = FractalNet(widths=(1,), columns=3, norm=None, outputs=1, activation=lambda: lambda z: z)
    x = jnp.ones((1, 2, 1))
    variables = net.init(jax.random.key(0), x, train=False)
    double = jnp.zeros((3, 1, 1)).at[1].set(2.0)
    params = {name: {"conv": {"kernel": double, "bias": jnp.zeros(1)}} for name in variables["params"]}
    params["output"] = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    # Columns of 1, 2 and 4 convolutions: halfway the last two are joined, at the end all three.
    half = (2 + 2 * 2) / 2
    expected = (2 + half * 2 + half * 2 * 2) / 3
    np.testing.assert_allclose(net.apply({"params": params}, x, train=False), [[expected]], rtol=1e-6)


def test_translation_does_not_change_a_pooled_cnn():
    x = jnp.zeros((1, 24, 1)).at[0, 8:12].set(1.0)
    moved = jnp.roll(x, 4, axis=1)
    net = CNN(widths=(8, 8), windows=(5, 3), stride=1, pooled=True)
    variables = net.init(jax.random.key(0), x, train=False)
    np.testing.assert_allclose(
        net.apply(variables, x, train=False), net.apply(variables, moved, train=False), atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet-50", "ResNet-152", "AlexNet", "WRN-28-10"])
def test_large_nets_give_finite_logits(name):
    net, shape, _ = COUNTS[name]
    x = jax.random.normal(jax.random.key(0), (1, *shape))
    y = jax.jit(lambda x: net.init_with_output(jax.random.key(1), x, train=False)[0])(x)
    assert y.shape == (1, net.outputs)
    assert jnp.isfinite(y).all()
