"""Every activation with every initializer: which pairs learn at all?

    .venv/bin/lanes sweep experiments/every_activation_initializer.py --out runs/every

About a minute on 2 CPU cores: 368 runs (silu is swish) in 4 compiled programs, one for all elementwise activations and one
each for prelu (a slope per layer is a parameter), maxout (wider layers) and softmax (acts on a whole layer).
Expected: no run diverges; test accuracy 0.93 to 0.98 for most pairs (n = 1), 0.1 to 0.3 where all weights of a layer are
equal (zeros, constant), 0.55 to 0.84 for step, which passes no gradient, so that only the output layer learns.
"""

from lanes import Run, grid
from nets import ACTIVATIONS, INITIALIZERS, MLP

BASE = Run(data="digits", net=MLP(widths=(64, 64)), optimizer="adam", learning_rate=3e-3, batch_size=32, epochs=5)


def sweep() -> list[Run]:
    """Activations x initializers."""
    return grid(BASE, activation=list(ACTIVATIONS), initializer=list(INITIALIZERS))
