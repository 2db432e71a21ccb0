"""Print the script by which a shell completes the command's options: `lanes completion bash`."""

import contextlib
import dataclasses
import functools
import importlib
import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import tyro

from lanes.cli.command import run_command


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Print the script by which a shell completes commands and options.

    bash: lanes completion bash > ~/.local/share/bash-completion/completions/lanes
    zsh: lanes completion zsh > a file _lanes in a folder of $fpath
    """

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """The shell."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status, 0."""
    from lanes.cli.main import COMMANDS

    with contextlib.suppress(SystemExit):  # how tyro ends once it has printed
        tyro.cli(every_command(COMMANDS), prog="lanes", args=["--tyro-write-completion", arguments.shell, "-"])
    return 0


def every_command(commands: Mapping[str, str]) -> Any:
    """The arguments of all commands as subcommands of one."""
    kinds = [
        Annotated[importlib.import_module(f"lanes.cli.{name}").Arguments, tyro.conf.subcommand(name, description=text)]
        for name, text in commands.items()
    ]
    return functools.reduce(operator.or_, kinds)


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes completion")
