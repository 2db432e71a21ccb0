"""A trained encoder's code as the features of another data set's examples."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.dataset import Dataset, Split, standardization
from lanes.data.loading import load_dataset
from lanes.describe import runs
from lanes.program.step import standardize
from lanes.storage import initial_weights, trained
from lanes.storage.directory import existing
from nets import outputs_of

BATCH = 512


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A data set whose inputs are the codes [N, M] that a trained net gives its examples; targets stay as they are.

    The code is the net's latent (of a VAE the mean), or the last hidden activations of a net without one; each number
    of it is standardized. `Run(data=Encoded("runs/pretrained:3f2a…"), net="softmax_regression")` asks what a linear
    classifier can do with it.

    Args:
        source: "DIR:run_id" of the trained net, as `init_from`.
        data: the data set that is encoded, by name or description; None: the one that the net was trained on.
        valid_fraction: as in `load_dataset`; None: as the net's run had it.
    """

    source: str
    data: Any = None
    valid_fraction: float | None = None

    def load(self, data_dir: str | None = None) -> Dataset:
        """Loads and encodes.

        Raises:
            RequestError: no such trained run.
            ValueError: examples of another shape than the net was trained on.
        """
        source = initial_weights.parse(self.source)
        (directory,) = existing([source.directory])
        run = runs.resolve(trained.run_of(directory, trained.find_run(directory, source.run)))
        net, variables = trained.restore(source.directory, source.run, data_dir=data_dir)
        fraction = run.valid_fraction if self.valid_fraction is None else self.valid_fraction
        own = load_dataset(
            run.data, train_examples=run.train_examples, valid_fraction=run.valid_fraction, data_dir=data_dir
        )
        data = load_dataset(run.data if self.data is None else self.data, valid_fraction=fraction, data_dir=data_dir)
        shapes = (own.train.x.shape[1:], data.train.x.shape[1:])
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Encoded: {self.source} was trained on examples of shape {shapes[0]}, {data.name} has {shapes[1]}"
            )
        # Inputs as the encoder knows them: with its own data set's offset and scale.
        encode = jax.jit(
            lambda x: _code(net, variables, standardize(x, jnp.asarray(own.offset), jnp.asarray(own.scale)))
        )
        splits = {name: Split(_batched(encode, split.x), split.y) for name, split in data.splits().items()}
        offset, scale = standardization(splits["train"].x, "feature")
        return dataclasses.replace(
            data,
            name=f"{data.name} encoded",
            version=f"{data.version} by {source.run}",
            train=splits["train"],
            valid=splits.get("valid"),
            test=splits.get("test"),
            offset=offset,
            scale=scale,
            standardize="feature",
        )


def _code(net: Any, variables: Any, x: jax.Array) -> jax.Array:
    result, kept = net.apply(variables, x, train=False, mutable=["intermediates"])
    outputs = outputs_of(result)
    code = outputs.mean if outputs.mean is not None else outputs.latent
    if code is None:
        code = jax.tree.leaves(kept["intermediates"])[-1]
    return code.reshape(code.shape[0], -1)


def _batched(encode: Any, x: np.ndarray) -> np.ndarray:
    """Codes [N, M]; the last batch is padded, so that one program does."""
    out = []
    for first in range(0, len(x), BATCH):
        rows = np.asarray(x[first : first + BATCH])
        filled = np.concatenate([rows, np.repeat(rows[:1], BATCH - len(rows), axis=0)])
        out.append(np.asarray(encode(filled))[: len(rows)])
    return np.concatenate(out)
