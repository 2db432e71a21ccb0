"""Nets, layers, activations and initializers: pure Flax modules and functions, independent of `lanes` and `losses`.

`NETS`, `ACTIVATIONS`, `INITIALIZERS` and `NORMALIZATIONS` map the names of each kind to descriptions or functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flax import linen as nn

from nets import hopfield, rbf, rbm
from nets.activations import (
    ACTIVATIONS,
    ELU,
    LeakyReLU,
    Maxout,
    PerLayer,
    PReLU,
    Sigmoid,
    Swish,
    absolute,
    clipped_linear,
    gelu,
    hard_tanh,
    identity,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sinc,
    softmax,
    softplus,
    softsign,
    step,
    step_ste,
    tanh,
)
from nets.alexnet import AlexNet
from nets.autoencoder import Autoencoder, bits, hamming_distances
from nets.bridge_equinox import from_equinox
from nets.convolution import HiddenConv, TransposedConvolution, convolution
from nets.dropout import AlphaDropout, DropoutKind, GaussianDropout
from nets.fast_convolution import convolve
from nets.fractalnet import FractalNet
from nets.gan import GAN
from nets.googlenet import GoogLeNet
from nets.initializers import (
    INITIALIZERS,
    LSUV,
    Constant,
    FanInUniform,
    IdentityRNN,
    Normal,
    Sparse,
    Uniform,
    ZeroResidual,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
    scaled,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from nets.layers import Dropout, HiddenDense
from nets.lenet import CNN, LeNet5
from nets.mlp import MLP
from nets.neocognitron import Neocognitron
from nets.nin import NIN
from nets.normalization import NORMALIZATIONS, recomputed_statistics
from nets.outputs import Outputs, outputs_of
from nets.padding import without_padding
from nets.rbf import RBF
from nets.rbm import RBM
from nets.recurrent import Recurrent
from nets.resnet import ResNet
from nets.squeezenet import SqueezeNet
from nets.units import Linear
from nets.vae import VAE

if TYPE_CHECKING:
    from nets.bridge_nnx import from_nnx


def __getattr__(name: str) -> Any:
    """`from_nnx` is imported on first use: Flax NNX takes 0.3 s to import."""
    if name != "from_nnx":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nets.bridge_nnx import from_nnx

    return from_nnx


NETS: dict[str, nn.Module] = {
    "perceptron": Linear(threshold=True),
    "linear": Linear(),
    "adaline": Linear(),
    "linear_regression": Linear(),
    "logistic_regression": Linear(),
    "softmax_regression": Linear(),
    "mlp": MLP(),
    "rbf": RBF(),
    "cnn": CNN(),
    "lenet5": LeNet5(),
    "alexnet": AlexNet(),
    "alexnet_32": AlexNet(form="cifar", widths=(1024, 1024)),
    "nin": NIN(),
    "squeezenet": SqueezeNet(),
    "googlenet": GoogLeNet(),
    "resnet": ResNet(),
    "plain": ResNet(residual=False),
    "wide_resnet": ResNet(form="wide", depth=16, widen=4),
    "stochastic_depth": ResNet(drop_path=0.5),
    "fractalnet": FractalNet(),
    "neocognitron": Neocognitron(),
    "rnn": Recurrent(cell="rnn"),
    "lstm": Recurrent(cell="lstm"),
    "gru": Recurrent(cell="gru"),
    "autoencoder": Autoencoder(),
    "conv_autoencoder": Autoencoder(widths=(16, 32), convolutional=True),
    "semantic_hashing": Autoencoder(code_unit="sigmoid", code_noise=4.0),
    "vae": VAE(),
    "conv_vae": VAE(widths=(16, 32), convolutional=True),
    "rbm": RBM(),
    "gan": GAN(),
}

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "ELU",
    "GAN",
    "INITIALIZERS",
    "LSUV",
    "MLP",
    "NETS",
    "NIN",
    "NORMALIZATIONS",
    "RBF",
    "RBM",
    "VAE",
    "AlexNet",
    "AlphaDropout",
    "Autoencoder",
    "Constant",
    "Dropout",
    "DropoutKind",
    "FanInUniform",
    "FractalNet",
    "GaussianDropout",
    "GoogLeNet",
    "HiddenConv",
    "HiddenDense",
    "IdentityRNN",
    "LeNet5",
    "LeakyReLU",
    "Linear",
    "Maxout",
    "Neocognitron",
    "Normal",
    "Outputs",
    "PReLU",
    "PerLayer",
    "Recurrent",
    "ResNet",
    "Sigmoid",
    "Sparse",
    "SqueezeNet",
    "Swish",
    "TransposedConvolution",
    "Uniform",
    "ZeroResidual",
    "absolute",
    "bits",
    "clipped_linear",
    "convolution",
    "convolve",
    "from_equinox",
    "from_nnx",
    "gelu",
    "hamming_distances",
    "hard_tanh",
    "he_normal",
    "he_uniform",
    "hopfield",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "log_sigmoid",
    "mish",
    "orthogonal",
    "outputs_of",
    "rbf",
    "rbm",
    "recomputed_statistics",
    "relu",
    "relu6",
    "scaled",
    "selu",
    "sinc",
    "softmax",
    "softplus",
    "softsign",
    "step",
    "step_ste",
    "tanh",
    "without_padding",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
