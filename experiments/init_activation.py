"""Which initializer suits which activation, each at its best rate? Ten activations, six initializers, on the digits.

    .venv/bin/lanes sweep experiments/init_activation.py --out runs/init_activation

About 12 s on 2 CPU cores: 720 runs in one compiled program. Expected test accuracy at the rate with the best validation
accuracy (n = 3): between 0.956 (sigmoid, uniform_0.01) and 0.989 (tanh, xavier_uniform). With one hidden layer and a tuned
rate, initializers differ by a point or two; with ten layers they decide whether the net learns (`signal_at_depth`).
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64,)), optimizer="adam", batch_size=32, epochs=20)

ACTIVATIONS = [
    "relu", "tanh", "sigmoid", "softplus", "elu", "selu", "leaky_relu", "softsign", "swish", "mish"
]  # fmt: skip
INITIALIZERS = ["uniform_0.01", "uniform_0.1", "xavier_uniform", "lecun_normal", "he_normal", "orthogonal"]


def sweep() -> list[Run]:
    """Activations x initializers x rates x seeds: 720 runs."""
    return grid(
        BASE,
        activation=ACTIVATIONS,
        initializer=INITIALIZERS,
        learning_rate=[3e-4, 1e-3, 3e-3, 1e-2],
        seed=range(3),
    )
