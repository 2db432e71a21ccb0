"""The runs whose programs `benchmarks.lowering` lowers: every net, task, initializer, optimizer and rule, at a small size."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nets
from lanes import OPTIMIZERS, Dataset, Run, Split
from lanes.recipe.rules import RULES
from lanes.recipe.tasks import TASKS

EXAMPLES = 32


@dataclasses.dataclass(frozen=True)
class Examples:
    """Random bits in every split, with targets of a kind, or tokens and the tokens after them.

    Attributes:
        shape: of one example.
        kind: of the targets, one of lanes.data.dataset.TASKS.
    """

    shape: tuple[int, ...] = (6,)
    kind: str = "classes"

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set."""
        del data_dir
        random = np.random.default_rng(0)
        x = random.integers(0, 2, (EXAMPLES, *self.shape)).astype(np.float32)
        bits = random.integers(0, 2, (EXAMPLES, 3)).astype(np.float32)
        y: np.ndarray = {"classes": bits[:, 0].astype(np.int32), "binary": bits[:, :1]}.get(self.kind, bits)
        if self.kind == "tokens":
            x = x.astype(np.int32)
            y = np.concatenate([x[:, 1:], x[:, :1]], axis=1)
        outputs = {"binary": 1, "tokens": 4}.get(self.kind, 3)
        split, zero, one = Split(x, y), np.zeros((), np.float32), np.ones((), np.float32)
        return Dataset("examples", "1", split, split, split, self.kind, outputs, zero, one, standardize="none")


IMAGE, SERIES = (8, 8, 1), (12, 1)
COPY: dict[str, Any] = {"task": "reconstruct", "loss": "sigmoid_cross_entropy"}
ONE: dict[str, Any] = {"kind": "binary", "loss": "squared_error", "optimizer": "sgd"}
# Of the nets that take other examples, smaller sizes or further fields: {"net", "shape", "kind", and fields of a run}.
FITTED: dict[str, dict[str, Any]] = {
    "perceptron": {**ONE, "rule": "perceptron_rule"},
    "adaline": {**ONE, "rule": "delta_rule"},
    "linear_regression": {"kind": "real", "loss": "squared_error"},
    "logistic_regression": {"kind": "binary", "loss": "binary_cross_entropy"},
    "mlp": {"net": nets.MLP(widths=(4, 4), norm="batch_norm"), "dropout": 0.1},
    "cnn": {"net": nets.CNN(widths=(4, 4), windows=(3, 3)), "shape": SERIES},
    "lenet5": {"shape": (16, 16, 1)},
    "alexnet": {"net": nets.AlexNet(widths=(8, 8)), "shape": (63, 63, 3)},
    "alexnet_32": {"net": nets.AlexNet(form="cifar", widths=(8, 8)), "shape": (16, 16, 3)},
    "nin": {"net": nets.NIN(widths=(4,) * 8), "shape": IMAGE},
    "squeezenet": {"shape": (32, 32, 3)},
    "googlenet": {"shape": (32, 32, 3)},
    "resnet": {"net": nets.ResNet(depth=20, width=2), "shape": IMAGE},
    "plain": {"net": nets.ResNet(depth=20, width=2, residual=False), "shape": IMAGE},
    "wide_resnet": {"net": nets.ResNet(depth=10, width=2, widen=2, form="wide"), "shape": IMAGE, "dropout": 0.1},
    "stochastic_depth": {"net": nets.ResNet(depth=20, width=2, drop_path=0.5), "shape": IMAGE},
    "fractalnet": {"net": nets.FractalNet(widths=(2,), columns=2, drop_path=0.2), "shape": IMAGE},
    "neocognitron": {"net": nets.Neocognitron(planes=(2, 3), window=3), "shape": IMAGE},
    **{cell: {"net": nets.Recurrent(cell=cell, widths=(3,)), "shape": (5, 2)} for cell in ("rnn", "lstm", "gru")},
    "autoencoder": COPY,
    "conv_autoencoder": {**COPY, "shape": IMAGE},
    "semantic_hashing": COPY,
    "vae": {**COPY, "task": "elbo"},
    "conv_vae": {**COPY, "task": "elbo", "shape": IMAGE},
    "rbm": {**COPY, "rule": "contrastive_divergence"},
    "gan": {"task": "adversarial"},
}
# The tasks that the nets above do not train with.
TASKS_FITTED: dict[str, dict[str, Any]] = {
    "classify": {},
    "classify_missing": {},
    "multilabel": {"kind": "multilabel", "loss": "sigmoid_cross_entropy"},
    "regress": {"kind": "real", "loss": "squared_error"},
    "gaussian_likelihood": {"kind": "real", "loss": "gaussian_nll"},
    "integer_coded": {"loss": "squared_error"},
    "next_token": {"net": nets.Recurrent(cell="gru", widths=(3,), head="each"), "kind": "tokens"},
    "reconstruct": {**COPY, "net": nets.Autoencoder(widths=(4,), code=2)},
    "denoise": {**COPY, "net": nets.Autoencoder(widths=(4,), code=2)},
    "impute": {**COPY, "net": nets.Autoencoder(widths=(4,), code=2)},
    "elbo": {**COPY, "net": nets.VAE(widths=(4,))},
    "adversarial": {"net": nets.GAN(latent=2, widths=(4,))},
}


def rectified(z: jax.Array) -> jax.Array:
    """max(z, 0), as a function of one's own: it is part of the program, as every activation is on an accelerator."""
    return jnp.maximum(z, 0)


def run(shape: tuple[int, ...] = (6,), kind: str = "classes", **fields: Any) -> Run:
    """A short run on examples of a shape, with targets of a kind; by default a small MLP."""
    fields = {"net": nets.MLP(widths=(4,)), "batch_size": 8, "epochs": 2, **fields}
    if isinstance(fields["net"], nets.MLP):
        fields["activation"] = rectified  # on a CPU, activations of the table may share a program
    return Run(data=Examples(shape, kind), **fields)


def of_nets() -> dict[str, Run]:
    """A run for every net of the table."""
    return {f"net {name}": run(**{"net": net, **FITTED.get(name, {})}) for name, net in nets.NETS.items()}


def of_tasks() -> dict[str, Run]:
    """A run for every task of the table."""
    return {f"task {name}": run(**{**TASKS_FITTED[name], "task": name}) for name in TASKS}


def of_recipes() -> dict[str, Run]:
    """A run for every initializer, for every optimizer, and for the rules that no net above needs."""
    full: dict[str, Any] = {"batch_size": EXAMPLES}
    found = {f"initializer {name}": run(initializer=name) for name in nets.INITIALIZERS}
    found |= {f"optimizer {name}": run(optimizer=name, **(full if name == "lbfgs" else {})) for name in OPTIMIZERS}
    used = {fields.get("rule") for fields in FITTED.values()}
    own: dict[str, dict[str, Any]] = {
        "delta_rule_sigmoid": {**ONE, "net": nets.Linear(), "output": "sigmoid"},
        "mu_lambda": {"optimizer": "sgd", "learning_rate": 1.0},
    }
    return found | {f"rule {name}": run(**{"rule": name, **own.get(name, {})}) for name in RULES if name not in used}


def of_switched() -> dict[str, Run]:
    """A run with every regularizer at once, as far as they go together."""
    on: dict[str, Any] = {
        "l1": 1e-3,
        "dropout": 0.1,
        "input_noise": 0.1,
        "label_smoothing": 0.1,
        "clip": 1.0,
        "patience": 2,
    }
    return {"all regularizers": run(weight_decay=1e-2, optimizer="adamw", average="ema", **on)}
