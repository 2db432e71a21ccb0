"""lanes: whole sweeps of neural networks as compiled programs.

What `lanes.api` exports is here by the same name. It is imported on first use, so that `lanes --help` does without JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lanes.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if not name.startswith("_") or name == "__all__":
        public = importlib.import_module("lanes.api")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("lanes.api").__all__})
