"""Times lanes and its peers in turn, in one session; prints a table, then the result as one line of JSON.

    .venv/bin/python -m benchmarks NAME [--repeats R] [--quick] [--peer-python PATH] [--write]

Progress goes to standard error. docs/performance.md says what is measured and holds the latest tables.
"""

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from benchmarks import cocktail, commands, comparisons, costs, lowering, timeline, whole
from benchmarks.measuring import Table, machine, put_between
from benchmarks.setting import Setting
from lanes.cli.command import leave, run_command
from lanes.errors import RequestError, unknown
from lanes.program import compilation_cache
from lanes.program.places import prepare_devices

DOCS = Path(__file__).resolve().parents[1] / "docs"
BENCHMARKS: dict[str, Callable[[Setting], Table]] = {
    "sweep": comparisons.sweep,
    **{name: functools.partial(comparisons.net, name) for name in comparisons.PACKS},
    "whole": whole.whole,
    "timeline": timeline.timeline,
    "architectures": whole.architectures,
    "startup": commands.startup,
    "scaling": commands.scaling,
    "conv_loop": costs.conv_loop,
    "regularizers": costs.regularizers,
    "cocktail": cocktail.cocktail,
    "overhead": costs.overhead,
    "lowering": lowering.lowering,
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Time lanes and its peers in one session; print a table, then the result as one line of JSON."""

    name: tyro.conf.Positional[str]
    """sweep, mnist_mlp, lenet, rnn, gru, resnet20, vae, conv_autoencoder, whole, timeline, architectures, startup, scaling,
    conv_loop, regularizers, cocktail, overhead or lowering."""
    repeats: int | None = None
    """Counted repetitions, taken in turn; the default is the benchmark's own number."""
    quick: bool = False
    """Tiny sizes: check that the benchmark works; the numbers mean nothing."""
    peer_python: str | None = None
    """Interpreter that has torch, if it is not installed next to JAX; the default is this one."""
    devices: int | None = None
    """Use the first N devices; a CPU counts as one device per core."""
    widths: tuple[int, ...] | None = None
    """Widths (lanes computed at once) to measure, in benchmarks of the training program alone."""
    data_dir: str | None = None
    """Where to look first for a prepared MNIST; without one, noise of its shape is used."""
    write: bool = False
    """Write the table into docs/performance.md (regularizers: into docs/catalogue.md as well)."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0 measured; 2 (raised as a RequestError) for a wrong name or number; 3 if a way failed."""
    if arguments.name not in BENCHMARKS:
        raise unknown("benchmark", arguments.name, BENCHMARKS)
    if arguments.repeats is not None and arguments.repeats < 1:
        raise RequestError(f"--repeats is {arguments.repeats}: it must be at least 1")
    if any(width < 1 for width in arguments.widths or ()):
        raise RequestError(f"--widths is {arguments.widths}: each must be at least 1")
    if arguments.write and arguments.quick:
        raise RequestError("--write and --quick: quick numbers mean nothing and are not written; drop one of the two")
    if arguments.data_dir is not None:
        os.environ["TFDS_DATA_DIR"] = arguments.data_dir
    prepare_devices()
    compilation_cache.switch_on()
    setting = Setting(arguments.repeats, arguments.quick, arguments.peer_python, arguments.devices, arguments.widths)
    before = machine()
    table = BENCHMARKS[arguments.name](setting)
    text = f"{table.markdown()}\n- {_measured_on(before | table.facts.get('peers', {}))}"
    print(text)
    if arguments.write:
        put_between(DOCS / "performance.md", table.name, text)
        if table.name == "regularizers":
            put_between(DOCS / "catalogue.md", "costs", text)
    print(json.dumps({**table.json(), "quick": arguments.quick, "machine": before}))
    return 3 if any(row.failure for row in table.rows) else 0


def _measured_on(machine: dict[str, object]) -> str:
    """The machine and the versions, as a note below the table."""
    return "Measured on: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + "."


def run(words: Sequence[str]) -> int:
    """Run the benchmark named on the command line; return the exit status."""
    return run_command(main, Arguments, words, ".venv/bin/python -m benchmarks")


if __name__ == "__main__":
    leave(run(sys.argv[1:]))
