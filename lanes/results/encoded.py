"""A trained encoder's codes as the features of a data set."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.data.dataset import Dataset, Split
from lanes.data.fingerprints import digest, fingerprint
from lanes.data.loading import load_dataset
from lanes.data.standardizing import standardization
from lanes.describe import runs
from lanes.describe.reading import read_as
from lanes.program.step import standardize
from lanes.storage import trained
from lanes.storage.directory import existing
from lanes.storage.references import parse
from nets import outputs_of

BATCH = 512


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A data set whose inputs are a trained net's codes [N, M] of the examples; the targets stay as they are.

    The code is the net's latent (a VAE's mean), or the last hidden activations of a net without a latent; each feature is
    standardized. `Run(data=Encoded("runs/pretrained:3f2a…"), net="softmax_regression")` trains a linear classifier on the
    codes.

    Args:
        source: "DIR:run_id" of the trained net, as in `init_from`.
        data: the data set to encode, a name or a description; None is the one that the net was trained on.
        valid_fraction: as in `load_dataset`; None is that of the net's run.
    """

    source: str = dataclasses.field(metadata={"replicate": "run"})
    data: Any = None
    valid_fraction: float | None = None

    def load(self, data_dir: str | None = None) -> Dataset:
        """The encoded data set.

        Raises:
            RequestError: there is no such trained run.
            ValueError: the examples differ in shape from those that the net was trained on.
        """
        source = parse(self.source)
        (directory,) = existing([source.directory], changes=False)
        run = runs.resolve(trained.run_of(directory, trained.find_run(directory, source.run)))
        net, variables = trained.restored(directory, source.run, data_dir=data_dir)
        fraction = run.valid_fraction if self.valid_fraction is None else self.valid_fraction
        own = trained.data_of(directory, run, data_dir)
        other = load_dataset(run.data if self.data is None else self.data, valid_fraction=fraction, data_dir=data_dir)
        data = read_as(run, other, own)
        shapes = (own.train.x.shape[1:], data.train.x.shape[1:])
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Encoded: {self.source} was trained on examples of shape {shapes[0]}, {data.name} has shape {shapes[1]}"
            )
        # The encoder expects inputs standardized as those of its own training set.
        data = data.seen_by(own)
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
            origin=_origin(variables, data),
            standardizer=None,
            tokens=0,
            padded=False,
        )


def _origin(variables: Any, data: Dataset) -> str:
    """The encoder's variables and the data that it encodes, from which the codes follow on every device."""
    leaves = [digest(np.atleast_1d(leaf)) for leaf in jax.tree.leaves(variables)]
    return " ".join([*leaves, fingerprint(data)])


def _code(net: Any, variables: Any, x: jax.Array) -> jax.Array:
    result, kept = net.apply(variables, x, train=False, mutable=["intermediates"])
    outputs = outputs_of(result)
    code = outputs.mean if outputs.mean is not None else outputs.latent
    if code is None:
        code = jax.tree.leaves(kept["intermediates"])[-1]
    return code.reshape(code.shape[0], -1)


def _batched(encode: Any, x: np.ndarray) -> np.ndarray:
    """Codes [N, M], computed by one program: the last batch is padded."""
    out = []
    for first in range(0, len(x), BATCH):
        rows = np.asarray(x[first : first + BATCH])
        filled = np.concatenate([rows, np.repeat(rows[:1], BATCH - len(rows), axis=0)])
        out.append(np.asarray(encode(filled))[: len(rows)])
    return np.concatenate(out)
