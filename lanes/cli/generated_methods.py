"""Keeps the byte code of methods that dataclasses and named tuples generate, as Python keeps that of modules.

Both write the methods of a class as text and have it compiled, in every process again: 2,900 texts for a sweep, most of them of
JAX, Flax, Orbax and this project, which take 0.2 s. What a text compiles to depends on nothing but itself and the interpreter.
"""

import builtins
import collections
import contextlib
import dataclasses
import importlib.util
import marshal
import os
import sys
from pathlib import Path
from types import CodeType
from typing import Any

MOST = 10_000  # texts that are kept; of more, those of the last command
PLACES = {dataclasses: "exec", collections: "eval"}  # the built-in function by which each compiles its texts


class GeneratedMethods:
    """Texts and their byte code, read from a file beside that of this module, and written there.

    Args:
        path: of the file; by default in `__pycache__`, of this interpreter.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or Path(importlib.util.cache_from_source(__file__)).with_suffix(".codes")
        self._kept: dict[tuple[str, str], bytes] = {}
        self._used: dict[tuple[str, str], bytes] = {}
        with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
            self._kept = dict(marshal.loads(self.path.read_bytes()))

    def begin(self) -> None:
        """From now on take the byte code of texts that are known from what is kept."""
        for module, name in PLACES.items():
            setattr(module, name, self._running(name))  # shadows the built-in function in that module

    def end(self) -> None:
        """Compile each text again, as Python does, and keep what was new; a folder that cannot be written changes nothing."""
        for module, name in PLACES.items():
            vars(module).pop(name, None)
        if sys.dont_write_bytecode or self._used.keys() <= self._kept.keys():
            return
        both = self._kept | self._used
        work = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            try:
                self.path.parent.mkdir(exist_ok=True)
                work.write_bytes(marshal.dumps(both if len(both) <= MOST else self._used))
                work.replace(self.path)
            finally:
                work.unlink(missing_ok=True)

    def _running(self, name: str) -> Any:
        """The built-in function `name`, with texts compiled here."""
        run = getattr(builtins, name)

        def running(text: Any, globals: Any = None, locals: Any = None) -> Any:
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
