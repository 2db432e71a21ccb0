"""The peers' nets in PyTorch: the same layers, units and losses as the works of `benchmarks.works`."""

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class LeNet5(nn.Sequential):
    """The same net as `nets.LeNet5`: padding 2 in the first convolution, max pooling, ReLU."""

    def __init__(self) -> None:
        super().__init__(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        )


class Recurrent(nn.Module):
    """One layer of 64 units over the steps, a linear readout of the last state."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.recurrent, self.output = cell(28, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, T, C] -> logits [B, 10]."""
        return self.output(self.recurrent(x)[0][:, -1])


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch normalization, and a shortcut that subsamples and pads with zero channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.more, self.stride = outputs - inputs, 1 if inputs == outputs else 2
        self.first = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [B, C, H, W] -> [B, C', H / stride, W / stride]."""
        h = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        shortcut = F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more)) if self.more else x
        return F.relu(h + shortcut)


class ResNet20(nn.Sequential):
    """The same net as `nets.ResNet(depth=20)`: three stages of three blocks, 16 to 64 channels."""

    def __init__(self) -> None:
        channels = (16, *(16,) * 3, *(32,) * 3, *(64,) * 3)
        super().__init__(
            *(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(ResidualBlock(inputs, outputs) for inputs, outputs in itertools.pairwise(channels)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
        )


class VAE(nn.Module):
    """The same net as `nets.VAE()`: 784-128-(2, 2), 2-128-784."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(784, 128, 4), mlp(2, 128, 784)

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        """The negative evidence lower bound in nats per example, of x [B, 1, 28, 28] in [0, 1]."""
        x = x.flatten(1)
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        return (reconstruction + divergence) / len(x)


class ConvAutoencoder(nn.Module):
    """The same net as `nets.Autoencoder(widths=(16, 32), convolutional=True)` on 28×28: a code of 32 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(32 * 7 * 7, 32)),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(32, 32 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (32, 7, 7))),
            *(nn.ConvTranspose2d(32, 16, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 3, 2, 1, 1)),
        )

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        """The cross-entropy of the pixels in nats per example, of x [B, 1, 28, 28] in [0, 1]."""
        return F.binary_cross_entropy_with_logits(self.decoder(self.encoder(x)), x, reduction="sum") / len(x)


def batch_loss(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The mean loss of a batch: the net's own, or that of a classifier."""
    return net.loss(x) if isinstance(net, (VAE, ConvAutoencoder)) else F.cross_entropy(net(x), y)


def evaluation(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """A classifier's loss and accuracy, fetched to the host."""
    with torch.no_grad():
        logits = net(x)
        return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


NETS: dict[str, Callable[[], nn.Module]] = {
    "sweep": lambda: mlp(64, 64, 64, 10),
    "mnist_mlp": lambda: mlp(784, 128, 128, 10),
    "lenet": LeNet5,
    "rnn": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "resnet20": ResNet20,
    "vae": VAE,
    "conv_autoencoder": ConvAutoencoder,
}
