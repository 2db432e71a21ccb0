"""Is any optimizer much better than the others, each at its own best rate, on the digits?

    .venv/bin/lanes sweep experiments/optimizers.py --out runs/optimizers

About 2 minutes on 2 CPU cores, in 12 compiled programs. Expected test accuracy at the rate with the best validation
accuracy (n = 5): between 0.968 and 0.977 for all but SGLD, whose noise stays (0.946 ± 0.011, 95% t interval). Table
in docs/results.md.
"""

from lanes import Run, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64,)), batch_size=32, epochs=20)

RATES = {
    "sgd": [0.01, 0.03, 0.1, 0.3, 1.0],
    "momentum": [3e-3, 0.01, 0.03, 0.1, 0.3],
    "nesterov": [3e-3, 0.01, 0.03, 0.1, 0.3],
    "adagrad": [3e-3, 0.01, 0.03, 0.1, 0.3],
    "adadelta": [0.1, 0.3, 1.0, 3.0, 10.0],
    "rmsprop": [1e-4, 3e-4, 1e-3, 3e-3, 0.01],
    "adam": [3e-4, 1e-3, 3e-3, 0.01, 0.03],
    "adamw": [3e-4, 1e-3, 3e-3, 0.01, 0.03],
    "lion": [3e-5, 1e-4, 3e-4, 1e-3, 3e-3],
    "lamb": [1e-3, 3e-3, 0.01, 0.03, 0.1],
    "sgld": [0.03, 0.1, 0.3, 1.0, 3.0],
}


def sweep() -> list[Run]:
    """Optimizers x five rates x seeds; L-BFGS has its own grid, with the whole training set in each step."""
    stochastic = [
        run
        for name, rates in RATES.items()
        for run in grid(
            BASE,
            optimizer=[name],
            learning_rate=rates,
            weight_decay=[0.01 if name == "adamw" else 0.0],
            seed=range(5),
        )
    ]
    whole = grid(
        BASE,
        optimizer=["lbfgs"],
        batch_size=[1437],
        epochs=[60],
        learning_rate=[0.003, 0.01, 0.03, 0.1, 1.0],
        seed=range(5),
    )
    return [*stochastic, *whole]
