"""Augmentations: pure functions `(key, x, y) -> (x, y)` of a batch, with an independent draw for each example.

Each is a frozen description whose numbers may be traced; `ranks` lists how many dimensions an example may have.
Whether a transformation preserves the label is up to the user: a mirrored digit is no longer a digit.
"""

import dataclasses
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
class Mixup(Augmentation):
    """Mixes each example and its target with those of a random partner from the batch.

    In training, classes become one-hot rows before they are mixed, so the loss sees rows [B, K] of weights that sum to 1;
    in evaluation it sees the classes. Called on a batch of integer labels, it raises ValueError: make them one-hot first.

    Formula: x' = λ x_i + (1 - λ) x_j, y' = λ y_i + (1 - λ) y_j, λ ~ Beta(α, α) per example
    Reference: Zhang et al., 2018
    """

    alpha: float = 0.2
    mixes_targets: ClassVar[bool] = True

    def check(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"Mixup: alpha={self.alpha} must be above 0; 0.2 is usual")

    def __call__(self, key: Array, x: Array, y: Array) -> tuple[Array, Array]:
        self.must_accept(x)
        if not jnp.issubdtype(y.dtype, jnp.floating):
            raise ValueError(f"Mixup mixes targets, but got labels of {y.dtype} {y.shape}: make them one-hot first")
        to_share, to_partner = jax.random.split(key)
        share = jax.random.beta(to_share, self.alpha, self.alpha, (x.shape[0],))
        partner = jax.random.permutation(to_partner, x.shape[0])

        def mix(values: Array) -> Array:
            weight = share.astype(values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
            return weight * values + (1 - weight) * values[partner]

        return mix(x), mix(y)


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
}
