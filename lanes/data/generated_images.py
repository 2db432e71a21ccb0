"""Generated classification problems of images."""

import dataclasses
import itertools

import numpy as np

from lanes.data.dataset import Dataset
from lanes.data.generated import Arrays, Generated

SIDE = 32  # pixels
CLASSES = (
    "triangle",
    "parallelogram",
    "ellipse",
    "triangle and parallelogram",
    "parallelogram and ellipse",
    "triangle and ellipse",
    "two triangles",
    "two parallelograms",
    "two ellipses",
)
CLASS_OF = np.array([[6, 3, 5], [3, 7, 4], [5, 4, 8]], np.int32)  # of two shapes
ALONE = 3  # of a second shape: there is none
# Each of 18 images in turn: (first shape, second shape), a single shape in every other one.
TURNS = np.array([pair for at in range(9) for pair in ((at % 3, ALONE), (at // 3, (at + at // 3) % 3))])
CORNERS = {0: 3, 1: 4}  # of the regular polygons that triangles and parallelograms are images of
ATTEMPTS = 50  # at a second shape that hides little enough, before the first is drawn again
PIECE = 4096  # images drawn at once


@dataclasses.dataclass(frozen=True)
class ShapeSet(Generated):
    """Shapeset-3×2: one or two shapes in an image [32, 32, 1] of grey levels 0 … 255; nine classes say which.

    The shapes are triangles, parallelograms and ellipses. Each is a regular triangle, a square or a circle that is turned by
    any angle, stretched along both axes to a diameter of its circumcircle drawn from `smallest` to `largest` of the
    side, turned by any angle again, and moved to any place where it lies one pixel or more inside the image. A pixel belongs
    to a shape if its centre does. On every other image, at random, grey levels are inverted: otherwise the background's
    is uniform on 0 … 0.45 of white and each shape's on 0.55 … 1.

    One shape or two are equally frequent, and each of two is any of the three: 1/6 of the images show each single
    shape, 1/9 each pair of different shapes, 1/18 each pair of equal ones, exactly so if `n` is a multiple of 18. So the
    most frequent class has 1/6 of the images, and the error of always naming it is 83.3%. A second shape lies in front, and
    is drawn again until it covers at most `overlap` of the first one's pixels; after 50 attempts both are.

    Reference: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010, section 2.1

    Args:
        overlap: largest share of the first shape that a second one hides, from 0 to 1.
        smallest, largest: range of the diameters, as shares of the side: from 0.1 … 0.4 to at most 0.9.
    """

    n: int = 9000
    overlap: float = 0.5
    smallest: float = 0.2
    largest: float = 0.8
    standardize: str = "global"

    def check(self) -> None:
        super().check()
        if not (0.1 <= self.smallest <= 0.4 and self.smallest <= self.largest <= 0.9):  # two must have room
            raise ValueError(
                f"smallest={self.smallest}, largest={self.largest}: must be from 0.1 to 0.4, and from there to 0.9"
            )
        if not 0 <= self.overlap <= 1:
            raise ValueError(f"overlap={self.overlap}: must be from 0 to 1")

    @property
    def choices(self) -> int:
        return len(CLASSES)

    def load(self, data_dir: str | None = None) -> Dataset:
        return dataclasses.replace(super().load(data_dir), classes=CLASSES)

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        first, second = TURNS[np.arange(n) % len(TURNS)].T
        x = np.empty((n, SIDE, SIDE, 1), np.uint8)
        for start in range(0, n, PIECE):
            here = slice(start, start + PIECE)
            x[here, ..., 0] = self._images(first[here], second[here], random)
        alone = second == ALONE
        return x, np.where(alone, first, CLASS_OF[first, np.where(alone, 0, second)]).astype(np.int32)

    def _images(self, first: np.ndarray, second: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """uint8 [N, 32, 32] with these shapes [N]."""
        behind, front = self.pixels(first, random), np.zeros((len(first), SIDE, SIDE), bool)
        rows = np.flatnonzero(second != ALONE)
        for attempt in itertools.count():
            if not len(rows):
                break
            if attempt and attempt % ATTEMPTS == 0:
                behind[rows] = self.pixels(first[rows], random)
            front[rows] = self.pixels(second[rows], random)
            hidden = np.sum(front[rows] & behind[rows], axis=(1, 2)) / np.sum(behind[rows], axis=(1, 2))
            rows = rows[hidden > self.overlap]
        ground, *greys = random.uniform(0, 0.45, (3, len(first), 1, 1)) + np.array([0, 0.55, 0.55])[:, None, None, None]
        image = np.where(front, greys[1], np.where(behind, greys[0], ground))
        inverted = random.random((len(first), 1, 1)) < 0.5
        return np.rint(255 * np.where(inverted, 1 - image, image)).astype(np.uint8)

    def pixels(self, shapes: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """bool [N, 32, 32]: pixels of shapes [N] that are drawn at random."""
        n = len(shapes)
        diameters = SIDE * random.uniform(self.smallest, self.largest, (n, 2))
        turn, back = (_turns(2 * np.pi * random.random(n)) for _ in range(2))
        linear = (turn * (diameters / 2)[:, None, :]) @ back  # [N, 2, 2], from the unit circle to the image
        low, high = _extents(shapes, linear)
        centre = random.uniform(1 - low, SIDE - 1 - high)
        at = np.arange(SIDE) + 0.5
        inverse = np.linalg.inv(linear).astype(np.float32)
        along, across = (at - centre[:, :1]).astype(np.float32), (at - centre[:, 1:]).astype(np.float32)
        # The pixels' centres [N, 32, 32], moved back to the unit circle.
        u, v = ((inverse[:, k, :1] * along)[:, None, :] + (inverse[:, k, 1:] * across)[:, :, None] for k in range(2))
        inside = u**2 + v**2 <= 1
        for shape, corners in CORNERS.items():
            rows = np.flatnonzero(shapes == shape)
            inside[rows] = _in_polygon(u[rows], v[rows], corners)
        return inside


def _turns(angle: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, 2, 2]."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def _polygon(corners: int) -> np.ndarray:
    """Corners [K, 2] of the regular polygon in the unit circle."""
    angle = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def _extents(shapes: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates [N, 2] of shapes around 0."""
    high = np.linalg.norm(linear, axis=2)  # of ellipses
    low = -high
    for shape, corners in CORNERS.items():
        rows = np.flatnonzero(shapes == shape)
        points = np.einsum("nij,kj->nki", linear[rows], _polygon(corners))
        low[rows], high[rows] = points.min(1), points.max(1)
    return low, high


def _in_polygon(u: np.ndarray, v: np.ndarray, corners: int) -> np.ndarray:
    """Which points lie in the regular polygon: on the inner side of each edge."""
    inside = np.ones(u.shape, bool)
    for angle in 2 * np.pi * (np.arange(corners) + 0.5) / corners:
        inside &= np.float32(np.cos(angle)) * u + np.float32(np.sin(angle)) * v <= np.cos(np.pi / corners)
    return inside
