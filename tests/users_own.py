"""Functions and descriptions that stand for a user's own."""

import dataclasses


def cube(z):
    """A user's activation."""
    return z * z * z


def scaled_cube(scale, z):
    """A user's activation with an argument to bind."""
    return scale * z * z * z


@dataclasses.dataclass(frozen=True)
class Inner:
    """A user's description."""

    amount: float = 0.5
    count: int = 2


@dataclasses.dataclass(frozen=True)
class Outer:
    """A description that holds others."""

    inner: Inner = Inner()
    several: tuple[Inner, ...] = (Inner(0.1), Inner(0.2))
    flag: bool = True
    name: str = "a"
