"""Generated regression problems, and generated sequences that need memory."""

import dataclasses

import numpy as np

from lanes.data.generated import Arrays, Generated, around, at_least


@dataclasses.dataclass(frozen=True)
class Sine(Generated):
    """y = sin(2π cycles x) for x uniform in [-1, 1], with noise on y.

    Args:
        cycles: periods per unit of x.
        noise: standard deviation added to y.
    """

    cycles: float = 1.0
    noise: float = 0.1

    def check(self) -> None:
        super().check()
        at_least("noise", self.noise, 0)

    @property
    def kind(self) -> str:
        return "real"

    @property
    def choices(self) -> int:
        return 1

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        x = random.uniform(-1, 1, (n, 1))
        return x.astype(np.float32), around(np.sin(2 * np.pi * self.cycles * x), self.noise, random)


@dataclasses.dataclass(frozen=True)
class Polynomial(Generated):
    """y = T(x), a Chebyshev polynomial of the first kind, for x uniform in [-1, 1], with noise: for under- and overfitting.

    T stays within [-1, 1] for every degree and has degree - 1 turning points.

    Args:
        degree: ≥ 0.
        noise: standard deviation added to y.
    """

    n: int = 60
    degree: int = 3
    noise: float = 0.2

    def check(self) -> None:
        super().check()
        at_least("degree", self.degree, 0)
        at_least("noise", self.noise, 0)

    @property
    def kind(self) -> str:
        return "real"

    @property
    def choices(self) -> int:
        return 1

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        x = random.uniform(-1, 1, (n, 1))
        return x.astype(np.float32), around(np.cos(self.degree * np.arccos(x)), self.noise, random)


@dataclasses.dataclass(frozen=True)
class Adding(Generated):
    """The adding problem (Hochreiter and Schmidhuber 1997, in the form of Le, Jaitly and Hinton 2015).

    x [T, 2] holds at each step a number uniform in [0, 1] and a mark; one step in each half is marked; y [1] is the sum
    of the two marked numbers. Always predicting 1 has a mean squared error of 1/6 ≈ 0.167.

    Args:
        length: T, ≥ 2.
    """

    n: int = 2000
    length: int = 50

    def check(self) -> None:
        super().check()
        at_least("length", self.length, 2)

    @property
    def kind(self) -> str:
        return "real"

    @property
    def choices(self) -> int:
        return 1

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        half, rows = self.length // 2, np.arange(n)
        x = np.zeros((n, self.length, 2), np.float32)
        x[:, :, 0] = random.random((n, self.length))
        marked = [random.integers(0, half, n), random.integers(half, self.length, n)]
        for step in marked:
            x[rows, step, 1] = 1
        y = sum(x[rows, step, 0] for step in marked)
        return x, np.asarray(y, np.float32)[:, None]


@dataclasses.dataclass(frozen=True)
class Copy(Generated):
    """The copy problem (Hochreiter and Schmidhuber 1997, in the form of Arjovsky, Shah and Bengio 2016).

    The input shows `length` symbols from 1 … symbols, then blanks (0), then after `delay` steps the mark symbols + 1, and
    blanks again; the target is blank up to the mark, then repeats the symbols in order. Both are tokens [T],
    T = delay + 2 length. Without memory the cross-entropy per step is at best length · log(symbols) / T.

    Args:
        symbols: number of symbols, ≥ 2.
        length: number of symbols shown, ≥ 1.
        delay: steps from the last symbol shown to the first one to be repeated, ≥ 1.
    """

    n: int = 2000
    symbols: int = 8
    length: int = 10
    delay: int = 20

    def check(self) -> None:
        super().check()
        at_least("symbols", self.symbols, 2)
        at_least("length", self.length, 1)
        at_least("delay", self.delay, 1)

    @property
    def kind(self) -> str:
        return "tokens"

    @property
    def choices(self) -> int:
        return self.symbols + 2

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        shown = random.integers(1, self.symbols + 1, (n, self.length))
        x = np.zeros((n, self.delay + 2 * self.length), np.int32)
        y = np.zeros_like(x)
        x[:, : self.length] = shown
        x[:, self.length + self.delay - 1] = self.symbols + 1
        y[:, self.length + self.delay :] = shown
        return x, y
