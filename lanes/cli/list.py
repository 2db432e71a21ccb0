"""List the names that a run can use, with their formulas: `lanes list activations`."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from lanes.cli.command import run_command
from lanes.errors import say, unknown


@dataclasses.dataclass(frozen=True)
class Arguments:
    """List the names that a run can use, with their formulas.

    Without a table the tables are listed; with names, their whole documentation is printed.
    """

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[TABLE [NAME …]]")] = ()
    """A table (activations, initializers, losses, optimizers, …), and entries of it."""
    json: bool = False
    """Print one JSON document."""
    traceback: bool = False
    """Show the traceback of an error."""


def main(arguments: Arguments) -> int:
    """The exit status: 0; 2 (raised as a RequestError) for an unknown table or name."""
    from lanes.cli.json_output import say_json
    from lanes.describe.catalogue import entries, tables

    if not arguments.words:
        listed = [(name, len(entries(name)), title) for name, title in tables().items()]
        if arguments.json:
            say_json([{"table": name, "entries": count, "title": title} for name, count, title in listed])
            return 0
        for name, count, title in listed:
            say(f"{name:16} {count:4}  {title}")
        say("`lanes list TABLE` lists a table's entries, `lanes list TABLE NAME` documents one")
        return 0
    table, *names = arguments.words
    found = {entry.name: entry for entry in entries(table)}
    for name in names:
        if name not in found:
            raise unknown(f"name in {table}", name, found)
    chosen = [found[name] for name in names] or list(found.values())
    width = max(map(len, found))
    if arguments.json:
        say_json(chosen)
    elif names:
        for entry in chosen:
            for line in (" ".join((entry.name, entry.defaults)).strip(), "", *entry.docstring.splitlines(), ""):
                say(line)
    else:
        for entry in chosen:
            parts = f"{entry.name:{width}}", entry.formula or entry.what, entry.defaults
            say("  ".join(part for part in parts if part))
    return 0


def run(words: Sequence[str]) -> int:
    """Run the command with the words after its name; return the exit status."""
    return run_command(main, Arguments, words, "lanes list")
