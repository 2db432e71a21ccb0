"""A sweep killed at random moments and resumed ends bit-equal to the uninterrupted one."""

import random

import pytest
from injuries import Reference, assert_same, finish, killed_at, resume, start, wait_for_training

from lanes import Halving

LONGEST = 4.0  # a kill falls in these first seconds of training


def test_a_sweep_in_this_process_equals_one_in_another(reference, tmp_path):
    assert resume(tmp_path / "here") == 0
    assert_same(tmp_path / "here", reference)


@pytest.mark.slow
def test_killed_and_resumed(reference, tmp_path, many):
    chance, kills, number = random.Random(7), 0, 0
    while kills < many(2, 30):
        out = tmp_path / str(number)
        number += 1
        for _ in range(chance.choice([1, 1, 3])):
            kills += killed_at(out, chance.uniform(0, LONGEST), f"slow={chance.choice([0, 0.05])}")
        assert resume(out) == 0
        assert_same(out, reference)
        assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_killed_while_halving_and_resumed(tmp_path, many):
    chance, halving = random.Random(11), Halving(rungs=(2, 4))
    assert resume(tmp_path / "whole", halving=halving) == 0
    whole = Reference(tmp_path / "whole")
    assert set(whole.table["status"]) == {"done", "pruned"}
    for number in range(many(4, 20)):
        out = tmp_path / str(number)
        killed_at(out, chance.uniform(0, LONGEST), "halving=2,4", f"slow={chance.choice([0, 0.05])}")
        assert resume(out, halving=halving) == 0
        assert_same(out, whole)


@pytest.mark.slow
def test_no_claim_outlives_a_kill(reference, tmp_path):
    out = tmp_path / "sweep"
    killed_at(out, 0.5, "slow=0.1")
    process = start(out)
    wait_for_training(process)
    assert finish(process, timeout=60)[0] == 0
    assert_same(out, reference)
