"""Generated classification problems of points in the plane."""

import dataclasses

import numpy as np

from lanes.data.generated import Arrays, Generated, around, at_least, class_labels, polar


@dataclasses.dataclass(frozen=True)
class Spirals(Generated):
    """Interleaved spirals in the plane, one per class (Lang and Witbrock, "Learning to tell two spirals apart", 1988).

    A point of class k at radius t, t² uniform in [0, 1], lies at the angle 2π (turns · t + k / classes), plus noise.

    Args:
        classes: number of arms, ≥ 2.
        turns: revolutions of each arm.
        noise: standard deviation added to both coordinates.
    """

    classes: int = 2
    turns: float = 1.5
    noise: float = 0.02
    standardize: str = "feature"

    def check(self) -> None:
        super().check()
        at_least("classes", self.classes, 2)
        at_least("noise", self.noise, 0)

    @property
    def choices(self) -> int:
        return self.classes

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        y = class_labels(n, self.classes)
        t = np.sqrt(random.random(n))  # about uniform along the arm; uniform t would crowd the middle
        angle = 2 * np.pi * (self.turns * t + y / self.classes)
        return around(polar(t, angle), self.noise, random), y


@dataclasses.dataclass(frozen=True)
class Moons(Generated):
    """Two interleaved half circles, as in scikit-learn's `make_moons`.

    Args:
        noise: standard deviation added to both coordinates.
    """

    noise: float = 0.1
    standardize: str = "feature"

    def check(self) -> None:
        super().check()
        at_least("noise", self.noise, 0)

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        y = class_labels(n, 2)
        arc = polar(np.ones(n), np.pi * random.random(n))
        lower = np.array([1.0, 0.5]) - arc
        return around(np.where(y[:, None] == 0, arc, lower), self.noise, random), y


@dataclasses.dataclass(frozen=True)
class Circles(Generated):
    """Concentric circles: class 0 of radius 1 around class 1.

    Args:
        factor: the inner radius, between 0 and 1.
        noise: standard deviation added to both coordinates.
    """

    factor: float = 0.5
    noise: float = 0.08
    standardize: str = "feature"

    def check(self) -> None:
        super().check()
        at_least("noise", self.noise, 0)
        if not 0 < self.factor < 1:
            raise ValueError(f"factor={self.factor}: must be above 0 and below 1")

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        y = class_labels(n, 2)
        radius = np.where(y == 0, 1.0, self.factor)
        return around(polar(radius, 2 * np.pi * random.random(n)), self.noise, random), y


@dataclasses.dataclass(frozen=True)
class Blobs(Generated):
    """Gaussian clouds of standard deviation 1, one per class, with centres evenly spaced on a circle.

    For two classes the lowest possible error is Φ(-distance / 2), with Φ the normal distribution function.

    Args:
        classes: number of clouds, ≥ 2.
        distance: between neighbouring centres, in standard deviations.
    """

    classes: int = 2
    distance: float = 4.0

    def check(self) -> None:
        super().check()
        at_least("classes", self.classes, 2)
        at_least("distance", self.distance, 0)

    @property
    def choices(self) -> int:
        return self.classes

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        y = class_labels(n, self.classes)
        radius = self.distance / (2 * np.sin(np.pi / self.classes))
        return around(polar(np.full(n, radius), 2 * np.pi * y / self.classes), 1.0, random), y


@dataclasses.dataclass(frozen=True)
class ConvexRegions(Generated):
    """Points in the square [-1, 1]², class 1 inside any of several regular polygons; both classes are equally frequent.

    A unit cuts off a half plane, two layers a convex region (`regions=1`), three layers a union of such regions.

    Args:
        regions: number of polygons, 1 to 4, side by side.
        sides: of each polygon, ≥ 3.
    """

    n: int = 1000
    regions: int = 2
    sides: int = 4

    def check(self) -> None:
        super().check()
        at_least("sides", self.sides, 3)
        if not 1 <= self.regions <= 4:
            raise ValueError(f"regions={self.regions}: must be from 1 to 4")

    def inside(self, x: np.ndarray) -> np.ndarray:
        """bool [N]: which points [N, 2] lie in a polygon."""
        around_centre = 2 * np.pi * (np.arange(self.regions) + 0.5) / self.regions
        centres = polar(np.full(self.regions, 0.0 if self.regions == 1 else 0.55), around_centre)
        circumradius = 0.7 if self.regions == 1 else 0.38  # small enough that neighbours do not touch
        normals = polar(np.ones(self.sides), 2 * np.pi * np.arange(self.sides) / self.sides)
        apothem = circumradius * np.cos(np.pi / self.sides)
        along = (x[:, None, :] - centres) @ normals.T  # [N, regions, sides]
        return (along <= apothem).all(-1).any(-1)

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        y = class_labels(n, 2)
        x = np.empty((n, 2))
        for label in (0, 1):
            rows = np.flatnonzero(y == label)
            while len(rows):  # redraw points of the other class
                x[rows] = random.uniform(-1, 1, (len(rows), 2))
                rows = rows[self.inside(x[rows]) != label]
        return x.astype(np.float32), y
