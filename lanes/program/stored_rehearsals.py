"""What rehearsals of this project's own code told, on disk: a later process need not trace the same again to check a request.

Only those that found nothing wrong are kept (`lanes.program.determined` says by what they are found), as JSON.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lanes.program import determined

FOLDER = "rehearsals"

Told = tuple[
    Any, frozenset[str]
]  # shapes of the variables, nested dictionaries or None, and the numbers with an effect


class _NotPlainError(Exception):
    """The variables of a net are no nested dictionaries."""

    def __init__(self, told: Told):
        super().__init__()
        self.told = told


def told(key: tuple[Any, ...], about: Any, rehearse: Callable[[], Told]) -> Told:
    """What a rehearsal of the key tells: as it is on disk, or found by `rehearse`, which raises for what is wrong.

    Arguments: `key` and `about` as of `determined.file_of`.
    """

    def find() -> Any:
        shapes, effective = rehearse()
        try:
            return _encoded(shapes), sorted(effective)
        except TypeError:
            raise _NotPlainError((shapes, effective)) from None

    try:
        shapes, effective = determined.remembered(FOLDER, key, about, find)
    except _NotPlainError as found:  # cannot be kept
        return found.told
    return _decoded(shapes), frozenset(effective)


def _encoded(tree: Any) -> Any:
    if tree is None or (type(tree) is jax.ShapeDtypeStruct and not tree.weak_type and tree.sharding is None):
        return tree and [str(tree.dtype), *tree.shape]
    if type(tree) is dict and all(isinstance(name, str) for name in tree):
        return {name: _encoded(part) for name, part in tree.items()}
    raise TypeError(f"{type(tree).__name__} among the variables")


def _decoded(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _decoded(part) for name, part in tree.items()}
    return tree and jax.ShapeDtypeStruct(tuple(tree[1:]), _dtype(tree[0]))


def _dtype(name: str) -> Any:
    return jax.dtypes.canonicalize_dtype(jnp.dtype(name))
