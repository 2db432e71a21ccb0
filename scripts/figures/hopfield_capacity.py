"""Prints how well a Hopfield net recalls random patterns at each load P / N; recall collapses near 0.14.

    .venv/bin/python scripts/figures/hopfield_capacity.py [--units N] [--repeats R]

Recall is the overlap x·s / N between a stored pattern x and the state s in which the net settles when started from x; 1 is
perfect. Means are over the patterns and over R nets of N units. With N = 500: 0.998 at 0.10, 0.93 at 0.14, 0.54 at 0.20.
"""

import argparse

import jax

from nets.hopfield import capacity

LOADS = (0.05, 0.08, 0.10, 0.12, 0.13, 0.14, 0.15, 0.16, 0.18, 0.20, 0.25)


def main() -> None:
    """Reads the command line and prints."""
    parser = argparse.ArgumentParser(description="Capacity of Hopfield nets.")
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    overlaps = capacity(jax.random.key(0), args.units, LOADS, repeats=args.repeats)
    for load, values in zip(LOADS, overlaps.T, strict=True):
        print(
            f"P / N = {load:.2f}: overlap {float(values.mean()):.3f}, from {float(values.min()):.3f} to {float(values.max()):.3f}"
        )


if __name__ == "__main__":
    main()
