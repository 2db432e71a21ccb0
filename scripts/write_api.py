"""Writes docs/api.md: everything that `lanes`, `nets` and `losses` export, with signatures and docstrings.

    .venv/bin/python scripts/write_api.py            writes the page
    .venv/bin/python scripts/write_api.py --check    writes nothing; exit status 1 if the page is out of date

Signatures stand as they are written in the source, so that the page does not depend on the version of Python.
"""

import argparse
import ast
import inspect
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import lanes
import losses
import nets
from lanes.describe.catalogue import tables

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
WIDTH = 110  # of a signature on one line
HEADER = """# Public names

Everything that `lanes`, `nets` and `losses` export. `.venv/bin/python scripts/write_api.py` writes this page from the docstrings:
edit those instead. What a run's fields can be called by name is in [catalogue.md](catalogue.md), or `lanes list`.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEADER, *(section(module) for module in (lanes, nets, losses))])


def section(module: ModuleType) -> str:
    """A module's exports in alphabetical order, with links to them."""
    names = sorted(module.__all__, key=str.lower)
    links = ", ".join(f"[`{name}`](#{anchor(module, name)})" for name in names)
    parts = [f"## {module.__name__}", "", textwrap.dedent(module.__doc__ or "").strip(), "", links, ""]
    return "\n".join([*parts, *(entry(module, name) for name in names)])


def anchor(module: ModuleType, name: str) -> str:
    """The address of a name on the page: GitHub's, of its heading."""
    return f"{module.__name__}{name}".lower()


def entry(module: ModuleType, name: str) -> str:
    """A name with its signature and docstring."""
    value = getattr(module, name)
    heading = f"### {module.__name__}.{name}"
    if isinstance(value, ModuleType):
        members = ", ".join(f"`{key}`" for key in public_functions(value))
        return f"{heading}\n\nA module: {first_line(value)} It has {members}.\n"
    if isinstance(value, dict):
        table = f"its entries are listed by `lanes list {name.lower()}`" if name.lower() in tables() else "a table"
        return f"{heading}\n\nTable of {len(value)} names, {table}.\n"
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return f"{heading}\n\n`{value!r}`\n"
    if not value.__module__.startswith(("lanes", "nets", "losses")):
        return f"{heading}\n\n`{value.__module__}.{value.__qualname__}`\n"
    docstring = inspect.cleandoc(value.__doc__ or "")
    return f"{heading}\n\n```text\n{signature(value)}\n\n{docstring}\n```\n"


def public_functions(module: ModuleType) -> list[str]:
    """The names of what a module defines for others."""
    return [key for key, value in vars(module).items() if not key.startswith("_") and of_module(value, module)]


def of_module(value: Any, module: ModuleType) -> bool:
    """Whether a function or class is defined in a module."""
    return (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__


def first_line(value: Any) -> str:
    return (inspect.cleandoc(value.__doc__ or "").splitlines() or [""])[0]


def signature(value: Any) -> str:
    """A function's head, or a class's with its fields and public methods."""
    source = textwrap.dedent(inspect.getsource(value))
    (node,) = ast.parse(source).body
    if isinstance(node, ast.FunctionDef):
        return head(node, node.name)
    assert isinstance(node, ast.ClassDef)
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    lines = [f"class {node.name}({bases})" if bases else f"class {node.name}"]
    lines += [f"    {ast.unparse(part)}" for part in node.body if isinstance(part, ast.AnnAssign) and is_public(part)]
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and not part.name.startswith("_") and ast.get_docstring(part):
            lines.append(textwrap.indent(head(part, part.name), "    "))
    return "\n".join(lines)


def is_public(field: ast.AnnAssign) -> bool:
    """Whether it is a field that users give: not a constant of the class, and no leading underscore."""
    constant = ast.unparse(field.annotation).startswith("ClassVar")
    return isinstance(field.target, ast.Name) and not field.target.id.startswith("_") and not constant


def head(node: ast.FunctionDef, name: str) -> str:
    """A function's name, arguments and result, one argument on a line if it is long."""
    result = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    line = f"{name}({ast.unparse(node.args)}){result}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n{textwrap.indent(one_on_a_line(node.args), '    ')}\n){result}"


def one_on_a_line(arguments: ast.arguments) -> str:
    """Arguments as written, each on its own line."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    lines = [with_default(argument, default) for argument, default in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        lines.insert(len(arguments.posonlyargs), "/,")
    if arguments.vararg is not None:
        lines.append(f"*{ast.unparse(arguments.vararg)},")
    elif arguments.kwonlyargs:
        lines.append("*,")
    lines += [
        with_default(argument, default)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg is not None:
        lines.append(f"**{ast.unparse(arguments.kwarg)},")
    return "\n".join(lines)


def with_default(argument: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(argument) + (f" = {ast.unparse(default)}" if default is not None else "") + ","


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the page is out of date")
    arguments = parser.parse_args()
    generated = page()
    if not arguments.check:
        PAGE.write_text(generated, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == generated:
        return 0
    print("docs/api.md is out of date: run .venv/bin/python scripts/write_api.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
