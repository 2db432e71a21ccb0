"""Checks that nets share; their one-line errors name the value got, the rule, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence


def check_positive(name: str, values: Sequence[int]) -> None:
    """Refuse sizes that are not positive integers.

    Raises:
        ValueError: with the value.
    """
    if any(isinstance(v, bool) or not isinstance(v, int) or v < 1 for v in values):
        raise ValueError(f"{name} {tuple(values)} must hold positive integers only")


def check_rank(net: str, shape: tuple[int, ...], rank: int, layout: str) -> None:
    """Refuse examples whose rank is not the net's.

    Raises:
        ValueError: with the shape got and the expected layout.
    """
    if len(shape) != rank:
        raise ValueError(f"{net} takes examples of shape {layout}, got {shape}: reshape the data or choose another net")


def check_image(net: str, shape: tuple[int, ...], smallest: int = 1) -> None:
    """Refuse examples that are not images [H, W, C] or have a side below `smallest`.

    Raises:
        ValueError: with the shape got and the rule.
    """
    check_rank(net, shape, 3, "[H, W, C]")
    if min(shape[:2]) < smallest:
        raise ValueError(
            f"{net} needs images of at least {smallest}×{smallest}, got {shape[0]}×{shape[1]}: "
            "resize them or choose a smaller net"
        )


def check_form(net: str, form: str, forms: Sequence[str]) -> None:
    """Refuse a form that the net does not have.

    Raises:
        ValueError: with the forms it has.
    """
    if form not in forms:
        raise ValueError(f"{net} has no form {form!r}: use {' or '.join(map(repr, forms))}")


def check_elementwise(net: str, pieces: int) -> None:
    """Refuse maxout where an activation must keep the number of features.

    Raises:
        ValueError: with the number of pieces.
    """
    if pieces != 1:
        raise ValueError(f"{net} adds and gates activations elementwise, got maxout of {pieces} pieces: choose another")
