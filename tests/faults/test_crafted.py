"""Crafted directories, with right checksums: no command touches anything outside them, runs their code, hangs or crashes."""

import random

import outside
import pytest
from crafts import CRAFTS


def test_readers_of_crafted_directories_touch_nothing(reference, tmp_path):
    quick = [name for name in CRAFTS if not name.startswith(("large", "deep", "rows", "nested", "huge"))]
    for name in random.Random(23).sample(quick, 4):
        craft, expected = CRAFTS[name]
        outside.check(craft, reference, tmp_path, expected, actions=("load", "restore"))


@pytest.mark.slow
def test_crafted_directories_touch_nothing(reference, tmp_path, many):
    wrong = {}
    for name in random.Random(29).sample(list(CRAFTS), many(4, len(CRAFTS))):
        craft, expected = CRAFTS[name]
        try:
            outside.check(craft, reference, tmp_path, expected)
        except Exception as error:
            wrong[name] = f"{type(error).__name__}: {error}"[:400]
    assert not wrong
