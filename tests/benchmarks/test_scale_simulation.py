"""The simulation of many workers agrees with what can be said in closed form."""

import math

import pytest

from benchmarks.scale_simulation import Cluster, Work, markdown, rows, simulate, simulate_directories

EVEN = {"spread": 0.0, "slow_share": 0.0, "lost_after": math.inf, "server_operations": 1e12}


@pytest.mark.parametrize(("workers", "packs"), [(1, 10), (4, 40), (4, 42)])
def test_equal_workers_take_the_packs_in_rounds(workers, packs):
    work = Work(run_seconds=0.5, lanes=8)
    found = simulate(packs * work.lanes, work, Cluster(workers, **EVEN))
    start = work.start_seconds + work.compile_seconds + work.plan_seconds * packs * work.lanes
    rounds = math.ceil(packs / workers)
    assert found.seconds == pytest.approx(start + rounds * work.lanes * work.run_seconds)
    assert found.starting == pytest.approx(start / found.seconds)
    assert found.efficiency == pytest.approx(packs * work.lanes * work.run_seconds / workers / found.seconds)
    assert (found.lost, found.waiting) == (0, 0)


def test_a_slow_file_server_sets_the_pace():
    work, cluster = Work(run_seconds=0.001), Cluster(50, **{**EVEN, "server_operations": 1_000.0})
    found = simulate(100_000, work, cluster)
    packs = math.ceil(100_000 / work.lanes)
    assert found.seconds >= packs * work.operations / cluster.server_operations
    assert found.waiting > 0.5


def test_workers_that_are_lost_start_again_and_cost_time():
    work = Work(run_seconds=1.0)
    kept = simulate(10_000, work, Cluster(5, **EVEN))
    some_lost = simulate(10_000, work, Cluster(5, **{**EVEN, "lost_after": 1_000.0}))
    assert some_lost.lost > 0
    assert some_lost.seconds > kept.seconds
    assert some_lost.starting > kept.starting


def test_directories_share_the_file_server_and_plan_less():
    work, cluster = Work(), Cluster(100, **EVEN)
    one, ten = (simulate_directories(1_000_000, count, work, cluster) for count in (1, 10))
    assert ten.starting < one.starting
    assert ten.efficiency > one.efficiency


def test_the_table_has_a_row_for_each_case():
    lines = markdown(rows()).splitlines()
    assert len(lines) == 2 + 2 * 4 * 2 + 2 * 4
    assert all(0 <= int(line.split("|")[6].strip(" %")) <= 100 for line in lines[2:])
