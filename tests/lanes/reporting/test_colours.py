"""The colours of the page's series: told apart by readers who are colour-blind, on light and on dark paper."""

import itertools
import re

import numpy as np
import pytest

from lanes.reporting.markup import PAGE
from lanes.reporting.plotting import COLORS, PALETTE

# Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision deficiency, 2009, severity 1.
SEEN = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
LEAST = 15.0  # CIE 1976 ΔE; 2.3 can just be noticed side by side, lines in a legend need several times that


def linear(color):
    """A colour `#rrggbb` as linear RGB."""
    value = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ rgb / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first, second):
    light = sorted(float(TO_XYZ[1] @ linear(color)) for color in (first, second))
    return (light[1] + 0.05) / (light[0] + 0.05)


def variables():
    """The style sheet's variables for light and for dark paper; dark ones default to the light ones."""
    blocks = re.findall(r":root \{(.*?)\}", (PAGE / "page.css").read_text(encoding="utf-8"), re.S)
    light, dark, printed = (dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in blocks)
    full = {"light": light, "dark": light | dark, "print": light | dark | printed}
    return {name: {key: _in_full(color) for key, color in found.items()} for name, found in full.items()}


def _in_full(color):
    return color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("paper", ["light", "dark", "print"])
def test_series_are_told_apart(paper, seen):
    found = variables()[paper]
    series = [found[name.removeprefix("var(--").removesuffix(")")] for name in COLORS]
    shown = [lab(np.clip(np.asarray(SEEN[seen]) @ linear(color), 0, 1)) for color in series]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(shown, 2)) >= LEAST


@pytest.mark.parametrize("paper", ["light", "dark", "print"])
def test_text_and_series_stand_out_from_the_paper(paper):
    found = variables()[paper]
    for name in ("ink", "quiet", "accent", "warn"):  # WCAG 2: 4.5 for text
        assert contrast(found[name], found["paper"]) >= 4.5, name
        assert contrast(found[name], found["tint"]) >= 4.5, name
    assert contrast(found["heat-ink"], found["heat-0"]) >= 4.5
    assert contrast(found["heat-ink"], found["heat-1"]) >= 4.5
    for name in COLORS:
        assert contrast(found[name.removeprefix("var(--").removesuffix(")")], found["paper"]) >= 2.2, name


def test_the_script_and_python_have_the_same_colours():
    found = variables()["light"]
    assert tuple(found[f"series-{at}"] for at in range(len(PALETTE))) == PALETTE
