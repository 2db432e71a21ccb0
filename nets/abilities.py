"""Protocols of nets: what every net must have, and optional abilities."""

from typing import Any, Protocol, runtime_checkable

import jax


@runtime_checkable
class Net(Protocol):
    """Any net, built in or user-defined: a Flax module."""

    def init(self, rngs: Any, x: jax.Array, /, *, train: bool) -> Any:
        """The initial variables, from inputs x [B, …]."""
        ...

    def apply(self, variables: Any, x: jax.Array, /, *, train: bool) -> Any:
        """The prediction [B, …], or `Outputs`, for inputs x [B, …]."""
        ...

    def clone(self, **fields: Any) -> Any:
        """A copy of the net with these fields changed."""
        ...


@runtime_checkable
class ChecksExamples(Protocol):
    """A net that checks its fields, and the shape of an example, before it is built."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError, in one line, for a field out of range or examples of the wrong shape."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A net that generates examples from noise z [B, latent]."""

    latent: int

    def generate(self, z: jax.Array, shape: tuple[int, ...], *, train: bool) -> jax.Array:
        """Examples [B, *shape]."""
        ...


@runtime_checkable
class Discriminates(Protocol):
    """A net that tells real examples from generated ones."""

    def discriminate(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits [B, 1] that the examples x are real."""
        ...


@runtime_checkable
class DrawsCodes(Protocol):
    """A net with a stochastic code [B, code] and a decoder."""

    code: int

    def draw(self, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
        """Codes [B, code] from q(z|x)."""
        ...

    def decode(self, z: jax.Array, shape: tuple[int, ...], *, train: bool = False) -> jax.Array:
        """The parameters [B, *shape] of p(x|z)."""
        ...


@runtime_checkable
class ReadsBothWays(Protocol):
    """A net that, if `bidirectional`, sees later steps of a sequence."""

    bidirectional: bool


@runtime_checkable
class HasThreshold(Net, Protocol):
    """A net that, if `threshold`, passes its outputs through a threshold."""

    threshold: bool


@runtime_checkable
class EmbedsTokens(Net, Protocol):
    """A net that embeds integer tokens [B, T].

    Where `vocabulary`, the number of distinct tokens, is None, the engine fills it with that of the data set.
    """

    vocabulary: int | None


@runtime_checkable
class ReadsPadding(Net, Protocol):
    """A net that takes series of unequal length.

    The engine sets `reads_padding` where the data set has such series: the inputs are then NaN, or -1 for tokens, where they
    are padded, and `nets.without_padding` gives their lengths.
    """

    reads_padding: bool
