"""Augmentations: pure functions `(key, x, y) -> (x, y)` of a batch, with an independent draw for each example.

Each is a frozen description whose numbers may be traced; `ranks` lists how many dimensions an example may have.
Whether a transformation preserves the label is up to the user: a mirrored digit is no longer a digit.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from lanes.recipe.augmentations_geometric import Affine, Crop, Mirror, Rotate, TimeShift, Translate
from lanes.recipe.augmentations_noise import (
    Augmentation,
    AugmentationLike,
    Brightness,
    Contrast,
    Cutout,
    GaussianNoise,
    MaskingNoise,
    PCAJitter,
    SaltAndPepper,
)

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Mixing(Augmentation):
    """Base of those that mix each example and its target with those of a partner, a random permutation of the batch.

    In training, classes become one-hot rows before they are mixed, so the loss sees rows [B, K] of weights that sum to 1;
    in evaluation, of the training split too, it sees the classes and no example is mixed. Called on a batch of integer
    labels, it raises ValueError: make them one-hot first. Shares and partners are drawn from the run's stream
    "augmentation", anew in each step.
    """

    alpha: float = 1.0
    mixes_targets: ClassVar[bool] = True

    def check(self) -> None:
        if not 0 < self.alpha < math.inf:
            name = type(self).__name__
            raise ValueError(
                f"{name}: alpha={self.alpha} must be above 0 and finite; {type(self)().alpha} is usual, and without {name} "
                "nothing is mixed"
            )

    def __call__(self, key: Array, x: Array, y: Array) -> tuple[Array, Array]:
        self.must_accept(x)
        if not jnp.issubdtype(y.dtype, jnp.floating):
            name = type(self).__name__
            raise ValueError(f"{name} mixes targets, but got labels of {y.dtype} {y.shape}: make them one-hot first")
        to_share, to_partner = jax.random.split(key)
        share = jax.random.beta(to_share, self.alpha, self.alpha, (x.shape[0],))
        return self.mixed(to_share, x, y, share, jax.random.permutation(to_partner, x.shape[0]))

    def mixed(self, key: Array, x: Array, y: Array, share: Array, partner: Array) -> tuple[Array, Array]:
        """The batch, of which each example keeps its drawn share [B] and takes the rest from its partner [B]."""
        raise NotImplementedError


def weighted(share: Array, values: Array, partner: Array) -> Array:
    """share · values + (1 - share) · partners' values, for shares [B] of values [B, …]."""
    weight = share.astype(values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
    return weight * values + (1 - weight) * values[partner]


@dataclasses.dataclass(frozen=True)
class Mixup(Mixing):
    """Mixes each example and its target with those of a random partner from the batch.

    `alpha` is traced: runs of several share a program. See `Mixing` for what becomes of classes.

    Formula: x' = λ x_i + (1 - λ) x_j, y' = λ y_i + (1 - λ) y_j, λ ~ Beta(α, α) per example
    Reference: Zhang et al., 2018
    """

    alpha: float = 0.2

    def mixed(self, key: Array, x: Array, y: Array, share: Array, partner: Array) -> tuple[Array, Array]:
        del key
        return weighted(share, x, partner), weighted(share, y, partner)


@dataclasses.dataclass(frozen=True)
class CutMix(Mixing):
    """Pastes a box of a random partner into each example; the targets are mixed by the shares of the area.

    The box has the share 1 - λ of the area, λ ~ Beta(α, α), the proportions of the example and a centre that is uniform
    over it, and is cut off at the border. λ' is what is left of the example. λ, centre and partner are drawn for each
    example, in the paper once for a batch. `alpha` is traced. See `Mixing` for what becomes of classes.

    Formula: x' = M x_i + (1 - M) x_j, y' = λ' y_i + (1 - λ') y_j, λ' = mean M
    Reference: Yun et al., 2019
    """

    alpha: float = 1.0
    ranks: ClassVar[tuple[int, ...]] = (2, 3, 4)

    def mixed(self, key: Array, x: Array, y: Array, share: Array, partner: Array) -> tuple[Array, Array]:
        space = x.shape[1:-1]
        centre = jax.random.uniform(jax.random.fold_in(key, 1), (x.shape[0], len(space)))
        side = (1 - share) ** (1 / len(space))
        pasted = jnp.ones((x.shape[0], *(1,) * len(space)), bool)
        for axis, n in enumerate(space):
            position = (jnp.arange(n, dtype=jnp.float32) + 0.5) / n
            near = jnp.abs(position[None] - centre[:, axis, None]) < side[:, None] / 2
            pasted = pasted & near.reshape(-1, *(n if at == axis else 1 for at in range(len(space))))
        kept = 1 - jnp.mean(pasted.astype(jnp.float32), axis=tuple(range(1, pasted.ndim)))
        return jnp.where(pasted[..., None], x[partner], x), weighted(kept, y, partner)


AUGMENTATIONS: dict[str, AugmentationLike] = {
    "mirror": Mirror(),
    "translate": Translate(),
    "time_shift": TimeShift(),
    "rotate": Rotate(),
    "affine": Affine(),
    "crop": Crop(),
    "contrast": Contrast(),
    "brightness": Brightness(),
    "pca_jitter": PCAJitter(),
    "gaussian_noise": GaussianNoise(),
    "masking_noise": MaskingNoise(),
    "salt_and_pepper": SaltAndPepper(),
    "cutout": Cutout(),
    "mixup": Mixup(),
    "cutmix": CutMix(),
}
