"""What rehearsals of this project's own code told, on disk: a later process need not trace the same again to check a request.

Only those that found nothing wrong are kept (`lanes.program.determined` says by what they are found), as JSON.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lanes.program import determined

FOLDER = "rehearsals"

Told = tuple[Any, frozenset[str]]  # shapes of the variables or None, and the numbers with an effect


def told(key: tuple[Any, ...], about: Any, rehearse: Callable[[], Told]) -> Told:
    """What a rehearsal of the key tells: as it is on disk, or found by `rehearse`, which raises for what is wrong.

    Arguments: `key` and `about` as of `determined.file_of`.
    """
    now: list[Told] = []

    def find() -> Any:
        now.append(rehearse())
        shapes, effective = now[0]
        try:
            return _encoded(shapes), sorted(effective)
        except TypeError:
            return None

    kept = determined.remembered(FOLDER, key, about, find)
    return now[0] if now else (_decoded(kept[0]), frozenset(kept[1]))


def _encoded(tree: Any) -> Any:
    """Shapes in nested dictionaries as JSON. Raises TypeError for any other tree."""
    if tree is None:
        return None
    if type(tree) is dict and all(isinstance(name, str) for name in tree):
        return {name: _encoded(part) for name, part in tree.items()}
    plain = type(tree) is jax.ShapeDtypeStruct and not tree.weak_type and tree.sharding is None
    if plain and isinstance(tree.dtype, np.dtype):
        return [str(tree.dtype), *tree.shape]
    raise TypeError(f"{tree!r} among the variables")


def _decoded(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _decoded(part) for name, part in tree.items()}
    return None if tree is None else jax.ShapeDtypeStruct(tuple(tree[1:]), jnp.dtype(tree[0]))
