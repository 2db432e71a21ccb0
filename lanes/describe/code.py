"""What a piece of Python code says, reads and changes, independent of its layout and of the version of Python.

The text of a function counts as its syntax tree: comments, blank lines, docstrings, and the annotations of functions
without decorators change nothing. It is used only if it compiles to the very code that the function runs, so a file that
has been edited since it was imported does not speak for the function in memory; the compiled code itself then counts.
"""

import ast
import dataclasses
import dis
import functools
import hashlib
import json
import types
from collections.abc import Iterator
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SILENT = ("ctx", "kind", "type_comment", "type_ignores")  # fields of a syntax tree that have no effect
FILLING = frozenset(
    (
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "move_to_end",
        "pop",
        "popitem",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    )
)  # methods that change a container
Chain = tuple[str, ...]


def digest(value: Any) -> str:
    """16 hexadecimal digits of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


# ---- texts -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Text:
    """A parsed module: its definitions and compiled code by name and first line, and its module-level statements by name.

    Attributes:
        nodes: definitions and lambdas.
        codes: compiled code, of class bodies too.
        statements: the statements outside of functions that bind or change a name.
    """

    nodes: dict[tuple[str, int], list[ast.AST]]
    codes: dict[tuple[str, int], list[types.CodeType]]
    statements: dict[str, list[ast.stmt]]
    tree: ast.Module


@functools.lru_cache(maxsize=256)
def parsed(text: str) -> Text | None:
    """The parsed text of a module; None if it is no Python."""
    try:
        tree = ast.parse(text)
        whole = compile(text, "<text>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    out = Text({}, {}, {}, tree)
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            out.nodes.setdefault((getattr(node, "name", "<lambda>"), first), []).append(node)
    for code in walk(whole):
        out.codes.setdefault((code.co_name, code.co_firstlineno), []).append(code)
    for statement in tree.body:
        for name in _bound(statement):
            out.statements.setdefault(name, []).append(statement)
    return out


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a module-level statement binds, or whose object it changes."""
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
        return {statement.name}
    names = changed(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.Call) and (root := _root(node.func)) and isinstance(node.func, ast.Attribute):
            names.add(root)  # a method may change its object
    return names


def changed(node: ast.AST) -> set[str]:
    """The names whose object a piece of code changes: items and attributes assigned or deleted, containers filled."""
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Subscript, ast.Attribute)) and not isinstance(inner.ctx, ast.Load):
            names.add(_root(inner))
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr in FILLING:
            names.add(_root(inner.func))
    return {name for name in names if name}


def _root(node: ast.AST) -> str | None:
    """The name that a chain of attributes and items begins with, if it does with a name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def tree_of(code: types.CodeType, text: Text | None) -> ast.AST | None:
    """The syntax tree of a function in the text of its module; None if the text does not compile to the function's code."""
    if text is None:
        return None
    key = code.co_name, code.co_firstlineno
    nodes = text.nodes.get(key, [])
    if not any(code == other for other in text.codes.get(key, ())):
        return None
    if len(nodes) > 1:  # lambdas of one line
        nodes = [node for node in nodes if isinstance(node, ast.Lambda) and _is_lambda(node, code)]
    return nodes[0] if len(nodes) == 1 else None


def _is_lambda(node: ast.Lambda, code: types.CodeType) -> bool:
    (compiled,) = walk_one(compile(ast.Expression(node), "<text>", "eval"))
    return (compiled.co_code, compiled.co_consts, compiled.co_names) == (code.co_code, code.co_consts, code.co_names)


def said(node: ast.AST) -> str:
    """16 hexadecimal digits of what a syntax tree says."""
    return digest(_normal(node, inside=False))


def _normal(node: Any, inside: bool) -> Any:
    """A syntax tree as JSON, without what has no effect; `inside` a function, annotations of variables have none."""
    if isinstance(node, list):
        return [_normal(item, inside) for item in node]
    if not isinstance(node, ast.AST):
        return [type(node).__name__, f"{node:x}" if type(node) is int else repr(node)]
    fields = {name: value for name, value in ast.iter_fields(node) if name not in SILENT and value not in (None, [])}
    if isinstance(node, ast.Constant):
        fields = {"value": node.value}
    if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Module)):
        inside = isinstance(node, FUNCTIONS)
    if isinstance(node, FUNCTIONS) and not node.decorator_list:
        fields.pop("returns", None)
        fields["args"] = _without_annotations(node.args)
    if isinstance(node, ast.AnnAssign) and inside:
        return ["Assign", {"targets": [_normal(node.target, inside)], "value": _normal(node.value, inside)}]
    for name in ("body", "orelse", "finalbody"):
        if isinstance(fields.get(name), list):
            fields[name] = [one for one in fields[name] if not _is_idle(one)]
    return [type(node).__name__, {name: _normal(value, inside) for name, value in fields.items()}]


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    def bare(one: ast.arg | None) -> ast.arg | None:
        return None if one is None else ast.arg(one.arg)

    return ast.arguments(
        posonlyargs=[ast.arg(one.arg) for one in arguments.posonlyargs],
        args=[ast.arg(one.arg) for one in arguments.args],
        vararg=bare(arguments.vararg),
        kwonlyargs=[ast.arg(one.arg) for one in arguments.kwonlyargs],
        kw_defaults=arguments.kw_defaults,
        kwarg=bare(arguments.kwarg),
        defaults=arguments.defaults,
    )


def _is_idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: `pass`, a docstring, `...`."""
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def compiled(statement: ast.stmt) -> types.CodeType:
    """The code of one module-level statement."""
    return compile(ast.Module([statement], []), "<text>", "exec", dont_inherit=True)


# ---- compiled code -----------------------------------------------------------------------------------------------


def walk(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those inside it."""
    yield code
    yield from walk_one(code)


def walk_one(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code objects inside a code object."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from walk(constant)


def compiled_to(code: types.CodeType) -> Any:
    """What code without a text is: its instructions, names and constants as JSON. It differs between versions of Python."""

    def constant(value: Any) -> Any:
        if isinstance(value, types.CodeType):
            return compiled_to(value)
        if isinstance(value, (tuple, frozenset)):
            items = [constant(item) for item in value]
            return items if isinstance(value, tuple) else sorted(items, key=json.dumps)
        return [type(value).__name__, repr(value)]

    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    return [code.co_name, code.co_code.hex(), counts, names, [constant(value) for value in code.co_consts]]


@dataclasses.dataclass(frozen=True)
class Reads:
    """What code takes from outside.

    Attributes:
        chains: global names, each with the attributes that follow it: ("helpers", "bent").
        imports: (module, level, names) of the imports in it.
        rebound: global names that it assigns.
    """

    chains: tuple[Chain, ...]
    imports: tuple[tuple[str, int, tuple[str, ...]], ...]
    rebound: frozenset[str]


def reads(code: types.CodeType) -> Reads:
    """What code, and the code inside it, takes from outside."""
    chains: set[Chain] = set()
    imports: set[tuple[str, int, tuple[str, ...]]] = set()
    rebound: set[str] = set()
    for inner in walk(code):
        before: list[Any] = [None, None]
        chain: Chain = ()
        for step in dis.get_instructions(inner):
            if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain:
                chain = (*chain, step.argval)
            elif step.opname not in ("PUSH_NULL", "CACHE", "EXTENDED_ARG"):
                chains.add(chain)
                is_global = step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
                chain = (step.argval,) if is_global else ()
            if step.opname == "IMPORT_NAME":
                imports.add((step.argval, int(before[-2] or 0), tuple(before[-1] or ())))
            elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                rebound.add(step.argval)
            before.append(step.argval)
        chains.add(chain)
    return Reads(tuple(sorted(chains - {()})), tuple(sorted(imports)), frozenset(rebound))
