"""Keeps the byte code of methods that dataclasses and named tuples generate, as Python keeps that of modules.

Both write the methods of a class as text and have it compiled, in every process again: 2,900 texts in a sweep, most of them of
JAX, Flax, Orbax and this project, which take 0.2 s. What a text compiles to depends on nothing but itself and the interpreter.
"""

import builtins
import collections
import contextlib
import dataclasses
import importlib.util
import marshal
import sys
import zlib
from pathlib import Path
from types import CodeType
from typing import Any, Self

MOST = 6_000  # texts that are kept; of more, those of the last command
PLACES = {dataclasses: "exec", collections: "eval"}  # the built-in function by which each compiles its texts


class GeneratedMethods:
    """Within the block, texts that an earlier process compiled are not compiled again.

    They are kept in `__pycache__`, beside the byte code of this module, unless Python writes none (`PYTHONDONTWRITEBYTECODE`)
    or the folder cannot be written. A damaged file, or one of another interpreter, is not read, and is replaced.

    Args:
        path: of the file, in place of that one.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or Path(importlib.util.cache_from_source(__file__)).with_suffix(".codes")
        self._kept = _read(self.path)
        self._used: dict[tuple[str, str], bytes] = {}

    def __enter__(self) -> Self:
        for module, name in PLACES.items():
            setattr(module, name, self._running(name))  # shadows the built-in function in that module
        return self

    def __exit__(self, *_: object) -> None:
        for module, name in PLACES.items():
            delattr(module, name)
        if not (sys.dont_write_bytecode or self._used.keys() <= self._kept.keys()):
            both = self._kept | self._used
            _write(self.path, both if len(both) <= MOST else self._used)

    def _running(self, name: str) -> Any:
        """The built-in function `name`, with texts compiled here."""
        run = getattr(builtins, name)

        def running(text: Any, globals: Any, locals: Any = None) -> Any:
            return run(self._code(name, text) if isinstance(text, str) else text, globals, locals)

        return running

    def _code(self, mode: str, text: str) -> CodeType:
        key = mode, text
        found = self._kept.get(key)
        if found is None:
            code = compile(text, "<string>", mode, dont_inherit=True)
            self._used[key] = marshal.dumps(code)
            return code
        self._used[key] = found
        return marshal.loads(found)


def _read(path: Path) -> dict[tuple[str, str], bytes]:
    """The byte code in a file by mode and text; nothing if the file is damaged or of another interpreter."""
    with contextlib.suppress(OSError):
        whole = path.read_bytes()
        body = whole[len(_head(b"")) :]
        if whole.startswith(_head(body)):
            return marshal.loads(body)
    return {}


def _write(path: Path, codes: dict[tuple[str, str], bytes]) -> None:
    """Write byte code into a file; if that is not possible, leave it."""
    from lanes.files import write_bytes  # only where there is something to write

    body = marshal.dumps(codes)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, _head(body) + body)


def _head(body: bytes) -> bytes:
    """What stands first in a file: the interpreter's number for its byte code, and a checksum."""
    return importlib.util.MAGIC_NUMBER + zlib.crc32(body).to_bytes(4, "little")
