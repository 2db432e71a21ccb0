"""Generated logic: gates, exclusive or, parity."""

import dataclasses

import numpy as np

from lanes.data.generated import Arrays, Generated, around, at_least, corners


@dataclasses.dataclass(frozen=True)
class XOR(Generated):
    """Exclusive or: the four corners (±1, ±1) with noise; class 1 if the signs differ. No line separates the classes.

    Args:
        noise: standard deviation around the corners.
    """

    noise: float = 0.2

    def check(self) -> None:
        super().check()
        at_least("noise", self.noise, 0)

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        first, second = corners(n)
        return around(2.0 * np.stack([first, second], 1) - 1, self.noise, random), first ^ second


GATES = {
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "nor": lambda a, b: 1 - (a | b),
    "nand": lambda a, b: 1 - (a & b),
}


@dataclasses.dataclass(frozen=True)
class Gates(Generated):
    """A logic gate of two inputs 0 or 1, with noise; a single unit can compute each of these gates.

    Args:
        gate: one of GATES: and, or, nor, nand.
        noise: standard deviation around the corners.
    """

    gate: str = "and"
    noise: float = 0.1

    def check(self) -> None:
        super().check()
        at_least("noise", self.noise, 0)
        if self.gate not in GATES:
            raise ValueError(f"gate={self.gate!r}: must be one of {', '.join(GATES)}")

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        first, second = corners(n)
        x = around(np.stack([first, second], 1).astype(np.float64), self.noise, random)
        return x, GATES[self.gate](first, second).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Parity(Generated):
    """Whether an odd number of the inputs ±1 is +1. No input string occurs twice, so test strings are unseen.

    Args:
        n: number of examples, at most 2^bits.
        bits: length of the string, 1 to 62.
    """

    n: int = 1024
    bits: int = 10

    def check(self) -> None:
        super().check()
        if not 1 <= self.bits <= 62:
            raise ValueError(f"bits={self.bits}: must be from 1 to 62")
        if self.n > 2**self.bits:
            raise ValueError(
                f"n={self.n}: there are only {2**self.bits} strings of bits={self.bits}; lower n or raise bits"
            )

    def examples(self, n: int, random: np.random.Generator) -> Arrays:
        if self.bits <= 20:
            numbers = random.permutation(2**self.bits)[:n]
        else:
            drawn: dict[int, None] = {}
            while len(drawn) < n:
                drawn.update(dict.fromkeys(random.integers(2**self.bits, size=n).tolist()))
            numbers = np.array(list(drawn)[:n])
        ones = numbers[:, None] >> np.arange(self.bits) & 1
        return (2.0 * ones - 1).astype(np.float32), (ones.sum(1) % 2).astype(np.int32)
