"""Print characters that a trained next-token net writes, one drawn after the other.

    python scripts/write_text.py runs/shakespeare                    the run with the lowest validation loss
    python scripts/write_text.py runs/shakespeare --run 3f --length 1000 --temperature 0.7

The net sees as many past characters as in training: p(next) = softmax(logits / temperature).
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import linen as nn

from lanes.cli.command import run_main
from lanes.data.characters import encode
from lanes.data.loading import load_dataset
from lanes.errors import RequestError
from lanes.results.tables import load
from lanes.storage.directory import existing
from lanes.storage.trained import find_run, restore, run_of


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Print characters that a trained next-token net writes, one drawn after the other."""

    directory: tyro.conf.Positional[Path]
    """What a sweep wrote (its --out)."""
    run: str | None = None
    """run_id or the beginning of it; the run with the lowest validation loss."""
    length: int = 400
    """Characters to write."""
    temperature: float = 0.8
    """Below 1 likely characters become likelier, above 1 rarer ones."""
    start: str = "\n"
    """Text to continue."""
    seed: int = 0
    """Of the draws."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    traceback: bool = False
    """Show where an error came from."""


def written(net: nn.Module, variables: dict, past: np.ndarray, known: int, arguments: Arguments) -> np.ndarray:
    """`length` tokens that follow the first `known` of `past`, int32 [T]; the net sees the last T at most."""

    def step(carry: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        past, known = carry
        logits = jnp.asarray(net.apply(variables, past[None], train=False))[
            0, known - 1
        ]  # what is after `known` is not yet seen
        token = jax.random.categorical(key, logits / arguments.temperature).astype(jnp.int32)
        full = known == past.size
        past = jnp.where(full, jnp.roll(past, -1), past).at[jnp.minimum(known, past.size - 1)].set(token)
        return (past, jnp.minimum(known + 1, past.size)), token

    keys = jax.random.split(jax.random.key(arguments.seed), arguments.length)
    return np.asarray(jax.jit(lambda: jax.lax.scan(step, (jnp.asarray(past), jnp.int32(known)), keys)[1])())


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for whatever is wrong with the request."""
    if not arguments.temperature > 0 or arguments.length < 1 or not arguments.start:
        raise RequestError("--temperature must be above 0, --length at least 1, and --start not empty")
    (directory,) = existing([arguments.directory])
    run_id = arguments.run
    if run_id is None:
        ended = load(arguments.directory).dropna(subset=["valid_loss"])
        if ended.empty:
            raise RequestError(f"{arguments.directory} has no run with a validation loss yet: train it first")
        run_id = str(ended.sort_values("valid_loss")["run_id"].iloc[0])
    run = run_of(directory, find_run(directory, run_id))
    data = load_dataset(run.data, data_dir=arguments.data_dir)
    if data.task != "tokens" or not data.vocabulary:
        raise RequestError(f"run {run_id} learned {data.name}, which is no text: choose a run on text")
    net, variables = restore(arguments.directory, run_id)
    past = np.zeros(data.train.x.shape[1], np.int32)
    begin = encode(arguments.start, data.vocabulary, len(data.vocabulary) - 1)[-len(past) :]
    past[: len(begin)] = begin
    tokens = written(net, variables, past, len(begin), arguments)
    print(arguments.start + "".join(data.vocabulary[token] for token in tokens))
    return 0


if __name__ == "__main__":
    run_main(main, Arguments)
