"""Modules beside an experiment file, imported for it alone.

An experiment imports its neighbours as a script does (`import my_helpers`, `from pkg.sub import bent`): a file or package
beside it comes before installed ones. The modules belong to the experiment: two experiments with unlike `my_helpers.py`
in one process each have their own, also for imports inside functions.
"""

import builtins
import hashlib
import importlib.machinery
import importlib.util
import linecache
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lanes.describe.public_names import OURS
from lanes.describe.versions import Versions
from lanes.errors import DamagedFileError, RequestError
from lanes.files import read_regular


class Loaded:
    """How a module of an experiment was loaded; it is the module's `__loader__`.

    Attributes:
        compiled_from: the file that was read.
        content: what it held.
        text: the same, decoded.
        folder: the folder of the experiment, which paths are relative to.
        neighbours: the modules beside the experiment.
    """

    def __init__(self, compiled_from: Path, content: bytes, neighbours: "Neighbours"):
        self.compiled_from, self.content, self.neighbours = compiled_from, content, neighbours
        self.text = importlib.util.decode_source(content)
        self.folder = neighbours.folder

    def get_source(self, name: str) -> str:  # noqa: ARG002
        """The text of the module, for tracebacks."""
        return self.text


class Neighbours:
    """The modules beside an experiment, and the `__import__` of the experiment and of these modules.

    Args:
        prefix: the name of the experiment's module, which the names of its neighbours begin with.
        folder: where the experiment's file is, or was before it was copied: `__file__` is there.
        copies: the folder of the copies of the modules, if the experiment is a copy; no module is then read elsewhere.
        expected: SHA-256 of the copies by path relative to `copies`.

    Attributes:
        modules: those imported, by name without the prefix.
        versions: of the functions that a directory's runs name.
    """

    def __init__(
        self, prefix: str, folder: Path, copies: Path | None = None, expected: Mapping[str, str] | None = None
    ):
        self.prefix, self.folder, self._copies, self._expected = prefix, folder, copies, dict(expected or {})
        self.modules: dict[str, types.ModuleType] = {}
        self.versions = Versions()
        self._lock = threading.RLock()

    def __call__(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        """`__import__` for the experiment and its neighbours."""
        inner = self._inner(name, globals or {}, level)
        if inner is None:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self.load(inner)
        if not fromlist:
            return self.load(inner.partition(".")[0])
        for item in [*fromlist, *(getattr(module, "__all__", ()) if "*" in fromlist else ())]:
            if item != "*" and not hasattr(module, item) and self._find(f"{inner}.{item}"):
                self.load(f"{inner}.{item}")
        return module

    def _inner(self, name: str, namespace: Mapping[str, Any], level: int) -> str | None:
        """The name of the neighbour that an import means; None if it means another module."""
        if not level:
            return name if self.owns(name.partition(".")[0]) else None
        package = namespace.get("__package__") or ""
        if not package.startswith(self.prefix + "."):
            return None
        return importlib.util.resolve_name("." * level + name, package)[len(self.prefix) + 1 :] or None

    def owns(self, root: str) -> bool:
        """Whether a top-level name means a module beside the experiment. A folder without `__init__.py` comes last."""
        if root in self.modules:
            return True
        found = None if root in OURS else self._find(root)
        if found is None or found[1] is not None:
            return found is not None
        try:
            installed = importlib.util.find_spec(root)
        except (ImportError, ValueError):
            return False
        return installed is None or installed.origin is None

    def knows(self, name: str) -> bool:
        """Whether a module is a neighbour that has been imported, or copied with the experiment."""
        return name in self.modules or any(rel in self._expected for rel in _files(name))

    def load(self, name: str) -> types.ModuleType:
        """The neighbour of this name, imported once, its packages first.

        Raises ModuleNotFoundError for a name that is not there, RequestError for a copy that has changed.
        """
        with self._lock:
            if name in self.modules:
                return self.modules[name]
            parent, _, last = name.rpartition(".")
            holder = self.load(parent) if parent else None
            if name in self.modules:  # its package imports it
                return self.modules[name]
            found = self._find(name)
            if found is None or (holder is not None and not hasattr(holder, "__path__")):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            module = self._made(name, *found)
            if holder is not None:
                setattr(holder, last, module)
            return module

    def _made(self, name: str, path: Path, rel: str | None) -> types.ModuleType:
        """Make the module of a file, or of a folder if there is none."""
        full = f"{self.prefix}.{name}"
        module = types.ModuleType(full)
        is_package = rel is None or rel.endswith("__init__.py")
        module.__package__ = full if is_package else full.rpartition(".")[0]
        if is_package:
            module.__path__ = [str(path if rel is None else path.parent)]
        self.modules[name] = sys.modules[full] = module
        if rel is None:
            return module
        module.__file__ = str(self.folder / rel) if self.folder.is_dir() else str(path)
        try:
            self.execute(module, path, self._read(path, rel))
        except BaseException:
            self.modules.pop(name, None)
            sys.modules.pop(full, None)
            raise
        return module

    def execute(self, module: types.ModuleType, path: Path, content: bytes) -> None:
        """Run a file's content as a module. It is compiled here: no cached bytecode is written or trusted."""
        loaded = Loaded(path, content, self)
        module.__loader__ = loaded  # type: ignore[assignment]
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self}
        code = compile(content, str(path), "exec", dont_inherit=True)
        # Tracebacks and `inspect` see the source that runs, even if the file changes.
        linecache.cache[str(path)] = (len(content), None, loaded.text.splitlines(keepends=True), str(path))
        exec(code, module.__dict__)

    def _read(self, path: Path, rel: str) -> bytes:
        try:
            content = read_regular(path)
        except DamagedFileError as error:
            raise RequestError(f"{path} {error}: a module belongs there") from None
        if rel in self._expected and hashlib.sha256(content).hexdigest() != self._expected[rel]:
            raise RequestError(f"{path} is not the copy that was made: repeat the sweep's command to write it again")
        return content

    def _find(self, name: str) -> tuple[Path, str | None] | None:
        """The file of a module and its relative path, or a folder that is a package without `__init__.py`."""
        stem = name.replace(".", "/")
        if self._copies is not None:
            found = [rel for rel in _files(name) if rel in self._expected]
            is_folder = any(rel.startswith(stem + "/") for rel in self._expected)
            where = self._copies
        else:
            found = [rel for rel in _files(name) if (self.folder / rel).is_file()]
            is_folder = (self.folder / stem).is_dir()
            where = self.folder
        if found:
            return where / found[0], found[0]
        return (where / stem, None) if is_folder else None

    def contents(self) -> dict[str, bytes]:
        """The content of each module imported so far, by path relative to the experiment's folder."""
        out = {}
        for name, module in self.modules.items():
            loaded = getattr(module, "__loader__", None)
            if isinstance(loaded, Loaded):
                package = hasattr(module, "__path__")
                out[_files(name)[0 if package else 1]] = loaded.content
        return out

    def is_current(self) -> bool:
        """Whether the files of the modules still hold what was imported."""
        return all(
            _same(loaded)
            for one in self.modules.values()
            if isinstance(loaded := getattr(one, "__loader__", 0), Loaded)
        )


def _same(loaded: Loaded) -> bool:
    try:
        return loaded.compiled_from.read_bytes() == loaded.content
    except OSError:
        return False


def _files(name: str) -> tuple[str, str]:
    """Relative paths of the file that a module may be: a package's, and a plain one."""
    stem = name.replace(".", "/")
    return f"{stem}/__init__.py", f"{stem}.py"


def neighbours_of(module: types.ModuleType | None) -> Neighbours | None:
    """The neighbours of a loaded experiment; None for another module."""
    loaded = getattr(module, "__loader__", None)
    return loaded.neighbours if isinstance(loaded, Loaded) else None
