"""Print text from a trained next-token net, sampled character by character.

    .venv/bin/python scripts/figures/write_text.py runs/shakespeare                    the run with the lowest validation loss
    .venv/bin/python scripts/figures/write_text.py runs/shakespeare --run 3f --length 1000 --temperature 0.7

Each character is drawn from softmax(logits / temperature), given all the text before it (`lanes.analysis.sampling`).
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
from lanes.results.versions import of_present_versions
from lanes.storage.directory import existing
from lanes.storage.trained import find_run, restore, run_of


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Print text from a trained next-token net, sampled character by character."""

    directory: tyro.conf.Positional[Path]
    """A sweep's directory (its --out)."""
    run: str | None = None
    """Run id, or its beginning; the default is the run with the lowest validation loss."""
    length: int = 400
    """Number of characters to write."""
    temperature: float = 0.8
    """Below 1 favours likely characters, above 1 rare ones; 0 always takes the likeliest."""
    start: str = "\n"
    """Text to continue."""
    seed: int = 0
    """Seed of the draws."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for an invalid request."""
    if not arguments.temperature >= 0 or arguments.length < 1 or not arguments.start:
        raise RequestError("--temperature must be 0 or more, --length at least 1, and --start not empty")
    (directory,) = existing([arguments.directory])
    run_id = arguments.run
    if run_id is None:
        table = of_present_versions(load(arguments.directory))[0].dropna(subset=["valid_loss"])
        if table.empty:
            raise RequestError(f"{arguments.directory} has no run with a validation loss yet: train it first")
        run_id = str(table.sort_values("valid_loss")["run_id"].iloc[0])
    run = run_of(directory, find_run(directory, run_id))
    data = load_dataset(run.data, data_dir=arguments.data_dir)
    if data.task != "tokens" or not data.vocabulary:
        raise RequestError(f"run {run_id} was trained on {data.name}, which is not text: choose a run on text")
    net, variables = restore(arguments.directory, run_id, data_dir=arguments.data_dir)
    prompt = encode(arguments.start, data.vocabulary, len(data.vocabulary) - 1)
    key = jax.random.key(arguments.seed)
    tokens = sample_text(net, variables, jnp.asarray(prompt), arguments.length, arguments.temperature, key)
    print(arguments.start + "".join(data.vocabulary[token] for token in tokens))
    return 0


if __name__ == "__main__":
    leave(run_command(main, Arguments, sys.argv[1:], "write_text.py"))
