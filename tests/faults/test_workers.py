"""Several workers in one directory train each run once, even if some are killed."""

import errno
import random
import time

import pandas as pd
import pytest
from injuries import assert_same, curves, finish, kill, resume, start, table, wait_for_training


@pytest.mark.slow
def test_four_workers_one_of_which_is_killed_repeatedly(reference, tmp_path, many):
    out, chance, slow = tmp_path / "sweep", random.Random(3), f"slow={many(0.1, 0.4)}"
    workers, kills = [start(out, slow) for _ in range(many(2, 4))], 0
    while len(list((out / "results").glob("*.parquet"))) < 3 and kills < many(1, 20):
        time.sleep(chance.uniform(2, 5))
        worker = workers.pop(chance.randrange(len(workers)))
        kills += worker.poll() is None
        kill(worker)
        workers.append(start(out, slow))
    print(f"{kills} workers killed")
    for worker in workers:
        status, text = finish(worker, timeout=300)
        assert status == 0, text
    assert_same(out, reference)
    assert not list((out / "claims").iterdir())


@pytest.mark.slow
def test_four_shards_equal_the_unsharded_sweep(reference, tmp_path):
    out = tmp_path / "sweep"
    for index in (0, 1, 3):
        status, text = finish(start(out, f"shard={index}/4"))
        assert status == 0, text
    left = table(out)["status"].isna().sum()
    assert f"not ended yet: shard 2/4 ({left} runs)" in text
    status, text = finish(start(out, "shard=2/4"))
    assert status == 0
    assert "not ended" not in text
    seen = table(out)
    pd.testing.assert_frame_equal(seen, reference.table, check_exact=True)
    pd.testing.assert_frame_equal(curves(out), reference.curves, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_three_workers_without_file_locks(reference, tmp_path, number):
    out = tmp_path / "sweep"
    workers = [start(out, "slow=0.02", f"nolocks={number}") for _ in range(3)]
    for worker in workers:
        status, text = finish(worker, timeout=300)
        assert status == 0, text
    assert_same(out, reference)
    assert resume(out) == 0


@pytest.mark.slow
def test_a_worker_leaves_a_claimed_pack_for_later(tmp_path, reference):
    from lanes.storage.claims import Claims

    out = tmp_path / "sweep"
    out.mkdir()
    packs = sorted(path.stem for path in (reference.path / "results").glob("*.parquet"))
    claims = Claims(out)
    assert claims.take(packs[0])
    process = start(out)
    wait_for_training(process)
    results = out / "results"
    until = time.monotonic() + 60
    while len(list(results.glob("*.parquet"))) < len(packs) - 1 and time.monotonic() < until:
        time.sleep(0.1)
    assert {path.stem for path in results.glob("*.parquet")} == set(packs[1:])
    assert process.poll() is None  # it waits for the claimed pack
    claims.release(packs[0])
    assert finish(process)[0] == 0
    assert_same(out, reference)


@pytest.mark.slow
def test_a_part_of_a_sweep_and_then_the_whole(reference, tmp_path):
    from driver import EXPERIMENT, SMALL

    from lanes.describe.experiment_files import runs_of
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep

    out = tmp_path / "sweep"
    options = Options(**SMALL, devices=1, max_seconds=1e-9)
    assert run_sweep(make_plan(runs_of(EXPERIMENT), options), out, options, experiment=EXPERIMENT).status == 75
    some = [run for run in runs_of(EXPERIMENT) if run.seed < 2]
    options = Options(**SMALL, devices=1)
    outcome = run_sweep(make_plan(some, options), out, options, experiment=EXPERIMENT)
    assert (outcome.status, outcome.ended, outcome.planned) == (0, 8, 8)
    assert resume(out) == 0
    assert_same(out, reference)
