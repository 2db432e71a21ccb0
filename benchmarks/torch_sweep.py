"""Hand-batched PyTorch as a whole command: trains ensembles of digits MLPs one after the other. Does not import JAX.

    python -m benchmarks.torch_sweep DATA.npz ENSEMBLES MODELS BATCH STEPS EPOCHS

Each ensemble has MODELS models of one activation, each with its own rate, draws and order of examples; validation follows
every epoch. The last metrics of every model are printed; nothing else is kept.
"""

import sys

import numpy as np

from benchmarks import torch_ways

ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu")


def main(words: list[str]) -> None:
    """Train what the command line says."""
    path, *numbers = words
    ensembles, models, batch, steps, epochs = map(int, numbers)
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    shared = {"work": "sweep", "models": models, "batch": batch, "steps": steps, "epochs": epochs, "threads": 1}
    for at in range(ensembles):
        activation = ACTIVATIONS[at % len(ACTIVATIONS)]
        losses, accuracies = torch_ways.trained_ensemble({**shared, "activation": activation}, data)
        for loss, accuracy in zip(losses, accuracies):
            print(f"{activation} {loss:.4f} {accuracy:.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
