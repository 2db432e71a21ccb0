"""Print characters that a trained next-token net writes, one drawn after the other.

    .venv/bin/python scripts/figures/write_text.py runs/shakespeare                    the run with the lowest validation loss
    .venv/bin/python scripts/figures/write_text.py runs/shakespeare --run 3f --length 1000 --temperature 0.7

Each character is drawn from softmax(logits / temperature) of all that stands before it (`lanes.analysis.sampling`).
"""

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import tyro

from lanes.analysis.sampling import sample_text
from lanes.cli.command import leave, run_command
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
    """Below 1 likely characters become likelier, above 1 rarer ones; 0 takes the likeliest each time."""
    start: str = "\n"
    """Text to continue."""
    seed: int = 0
    """Of the draws."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    traceback: bool = False
    """Show where an error came from."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for whatever is wrong with the request."""
    if not arguments.temperature >= 0 or arguments.length < 1 or not arguments.start:
        raise RequestError("--temperature must be 0 or more, --length at least 1, and --start not empty")
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
    net, variables = restore(arguments.directory, run_id, data_dir=arguments.data_dir)
    prompt = encode(arguments.start, data.vocabulary, len(data.vocabulary) - 1)
    key = jax.random.key(arguments.seed)
    tokens = sample_text(net, variables, jnp.asarray(prompt), arguments.length, arguments.temperature, key)
    print(arguments.start + "".join(data.vocabulary[token] for token in tokens))
    return 0


if __name__ == "__main__":
    leave(run_command(main, Arguments, sys.argv[1:], "write_text.py"))
