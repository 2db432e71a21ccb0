"""A net's summary against counts by hand."""

import jax.numpy as jnp
import pytest

from nets import MLP, NETS, AlexNet, Autoencoder, LeNet5, Recurrent, ResNet
from nets.inspection import layers, multiply_adds, parameter_count, shapes, summary


def test_lenet_layer_by_layer():
    rows = {row.name: row[1:] for row in layers(LeNet5(), (28, 28, 1))}
    assert rows == {
        "conv_0/conv": ((28, 28, 6), 156, 28 * 28 * 25 * 6),
        "conv_1/conv": ((10, 10, 16), 2_416, 100 * 25 * 6 * 16),
        "hidden_0/dense": ((120,), 48_120, 400 * 120),
        "hidden_1/dense": ((84,), 10_164, 120 * 84),
        "output": ((10,), 850, 840),
    }


def test_scanned_blocks_and_steps_count_each_time():
    assert multiply_adds(ResNet(), (32, 32, 3)) == multiply_adds(ResNet(unrolled=True), (32, 32, 3))
    once = multiply_adds(Recurrent(cell="rnn", head="each"), (1, 3))
    assert multiply_adds(Recurrent(cell="rnn", head="each"), (7, 3)) == 7 * once


def test_a_cells_gates_are_one_layer_and_tied_kernels_multiply_twice():
    names = [row.name for row in layers(Recurrent(), (5, 3))]
    assert names == ["layer_0_forward", "output"]
    rows = {row.name: row for row in layers(Autoencoder(widths=(), code=2, tied=True), (6,))}
    assert rows["decoder/output"].parameters == 6
    assert rows["decoder/output"].multiply_adds == rows["encoder/hidden_0/dense"].multiply_adds == 12


def test_transposed_convolutions_do_not_count_zeros():
    rows = {row.name: row for row in layers(Autoencoder(widths=(4,), code=2, convolutional=True), (8, 8, 1))}
    assert rows["decoder/output"].multiply_adds == rows["encoder/hidden_0/conv"].multiply_adds


def test_running_statistics_are_not_parameters():
    net = MLP(widths=(4,), norm="batch_norm")
    assert set(shapes(net, (3,))) == {"params", "batch_stats"}
    assert parameter_count(net, (3,)) == 3 * 4 + 4 + 8 + 50


@pytest.mark.parametrize("name", ["mlp", "rbf", "vae", "gan", "gru", "fractalnet", "neocognitron"])
def test_rows_add_up(name):
    shape = (28, 1) if name == "gru" else (28, 28, 1)
    rows = layers(NETS[name], shape)
    assert sum(row.parameters for row in rows) == parameter_count(NETS[name], shape)


@pytest.mark.parametrize(
    ("net", "shape", "published"),
    [
        (ResNet(), (32, 32, 3), 41e6),
        (ResNet(depth=50, form="imagenet", outputs=1000), (224, 224, 3), 4.1e9),
        (AlexNet(outputs=1000), (224, 224, 3), 0.71e9),
    ],
)
def test_multiply_adds_are_the_published_ones(net, shape, published):
    assert abs(multiply_adds(net, shape) / published - 1) < 0.02


def test_summary_is_a_table_with_totals():
    lines = summary(MLP(widths=(4, 3), outputs=1), (6,)).splitlines()
    assert lines[0] == "MLP on (6,): 47 parameters (0.00 MB in float32)"
    assert lines[-1].split() == ["total", "47", "39"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert "embedding" in summary(Recurrent(outputs=65, head="each"), (9,), jnp.int32)


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least 12×12"):
        summary(LeNet5(), (8, 8, 1))
