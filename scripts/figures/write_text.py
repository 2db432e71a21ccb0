"""Print text from a trained next-token net, sampled character by character.

    .venv/bin/python scripts/figures/write_text.py runs/shakespeare                    the run with the lowest validation loss
    .venv/bin/python scripts/figures/write_text.py runs/shakespeare --run 3f --length 1000 --temperature 0.7

Each character is drawn from softmax(logits / temperature), given all the text before it (`lanes.write_text`).
"""

import dataclasses
import sys
from pathlib import Path

import tyro

from lanes import write_text
from lanes.cli.command import leave, run_command


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
    start: str | None = None
    """Text to continue; the default is a line break."""
    seed: int = 0
    """Seed of the draws."""
    data_dir: str | None = None
    """Where prepared TFDS sets are; searched before $TFDS_DATA_DIR and ~/tensorflow_datasets."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 written; 2 (raised as a RequestError) for an invalid request."""
    print(
        write_text(
            arguments.directory,
            arguments.run,
            length=arguments.length,
            start=arguments.start,
            temperature=arguments.temperature,
            seed=arguments.seed,
            data_dir=arguments.data_dir,
        )
    )
    return 0


if __name__ == "__main__":
    leave(run_command(main, Arguments, sys.argv[1:], "write_text.py"))
