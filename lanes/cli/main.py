"""The installed command `lanes`: finds the command by name and passes it the rest of the command line."""

import importlib
import sys
from collections.abc import Sequence

from lanes.cli.command import leave, tell
from lanes.cli.generated_methods import GeneratedMethods
from lanes.cli.process import (
    collect_rarely,
    exit_on_signals,
    ignore_debugging_variables,
    let_idle_threads_sleep,
    load_f2py_when_used,
    make_output_unfailing,
)
from lanes.errors import ExitStatus, unknown
from lanes.program.call_frames import with_room

# Each command is the module of that name in this folder; only the one called is imported.
COMMANDS = {
    "sweep": "Train every run of an experiment file; repeat it to resume.",
    "train": "Train one run, or repeat one from a sweep.",
    "evaluate": "Evaluate trained runs from their checkpoints.",
    "diagnose": "Look inside trained runs: activations, gradients, curvature.",
    "export": "Write one trained run's parameters for other programs.",
    "report": "Write a sweep's report as one HTML page; compare several sweeps.",
    "reproduce": "Run experiments on claims again; compare with what is recorded.",
    "list": "List the names that a run can use, with their formulas.",
    "status": "Show what a sweep is doing: workers, runs, time left, what failed.",
    "stop": "Ask a sweep's workers to save and stop, or end single runs.",
    "forget": "Remove runs from a sweep, to train them again or not.",
    "prepare": "Prepare a TFDS data set; downloads only with --yes.",
    "completion": "Print the script by which a shell completes commands and options.",
}


def main(*leading: str) -> None:
    """Run `leading` followed by this process's command line, and exit with the command's status."""
    make_output_unfailing()
    collect_rarely()
    exit_on_signals()
    ignore_debugging_variables()
    let_idle_threads_sleep()
    with GeneratedMethods():
        status = with_room(run, [*leading, *sys.argv[1:]])
    leave(status)


def run(words: Sequence[str]) -> int:
    """Run the command named by the first word; return its exit status."""
    name, *rest = words or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
        return ExitStatus.DONE
    try:
        if name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        module = importlib.import_module(f"lanes.cli.{name}")
        load_f2py_when_used()
    except Exception as error:
        return tell(error)
    return module.run(rest)


def overview() -> str:
    """The commands, one sentence each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {sentence}" for name, sentence in COMMANDS.items()]
    return "\n".join(
        [
            "usage: lanes COMMAND …",
            "",
            *lines,
            "",
            "`lanes COMMAND --help` lists a command's options.",
            "Exit status: 0 done; 2 wrong request; 3 something failed; 75 stopped and saved.",
        ]
    )


if __name__ == "__main__":
    main()
