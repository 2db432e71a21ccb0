"""What a net must have, and what some nets can do beside."""

from typing import Any, Protocol, runtime_checkable

import jax


@runtime_checkable
class Net(Protocol):
    """Any net, ours or the user's own: a Flax module."""

    def init(self, rngs: Any, x: jax.Array, /, *, train: bool) -> Any:
        """The variables."""
        ...

    def apply(self, variables: Any, x: jax.Array, /, *, train: bool) -> Any:
        """The prediction, or `Outputs`."""
        ...

    def clone(self, **fields: Any) -> Any:
        """The net with other fields."""
        ...


@runtime_checkable
class ChecksExamples(Protocol):
    """A net that is not for examples of every shape, or not for every value of its fields."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError, in one line, for examples of this shape."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A net that makes examples of noise z [B, latent]."""

    latent: int

    def generate(self, z: jax.Array, shape: tuple[int, ...], *, train: bool) -> jax.Array:
        """Examples [B, *shape]."""
        ...


@runtime_checkable
class Discriminates(Protocol):
    """A net that tells real examples from generated ones."""

    def discriminate(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Logits of being real [B, 1]."""
        ...


@runtime_checkable
class DrawsCodes(Protocol):
    """A net with a prior over its code [B, code], and a decoder."""

    code: int

    def draw(self, mean: jax.Array, log_variance: jax.Array) -> jax.Array:
        """Codes [B, code] from q(z|x)."""
        ...

    def decode(self, z: jax.Array, shape: tuple[int, ...], *, train: bool = False) -> jax.Array:
        """The parameters of p(x|z) [B, *shape]."""
        ...


@runtime_checkable
class ReadsBothWays(Protocol):
    """A net that may look at later steps of a sequence."""

    bidirectional: bool


@runtime_checkable
class HasThreshold(Net, Protocol):
    """A net whose outputs may pass a threshold."""

    threshold: bool
