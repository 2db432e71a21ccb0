"""Intact files in the wrong place are not believed: no wrong number is accepted, and the same command restores the sweep."""

import random

import foreign
import pandas as pd
import pytest
from foreign import World
from injuries import assert_no_wrong_numbers, curves, ignore, table

import lanes
from lanes import Halving
from lanes.errors import RequestError
from lanes.results.evaluation import evaluate
from lanes.storage.directory import Directory


@pytest.mark.slow
def test_intact_files_in_the_wrong_place(tmp_path, many):
    chance = random.Random(19)
    worlds = [World(tmp_path / "plain"), World(tmp_path / "halved", Halving(rungs=(1, 2)))]
    for number in range(many(6, 60)):
        _survives(tmp_path / "sweep", worlds[number % 2], chance, chance.choice(foreign.INJURIES))


def _survives(out, world, chance, injury):
    """No reader takes a wrong number from an injured directory, and the same command makes it whole, once."""
    done, lines, again = foreign.injure(out, world, chance, injury), [], []
    try:
        assert_no_wrong_numbers(out, world.reference)
        _assert_evaluated(out, world, chance)
        assert foreign.train(out, world.halving, warn=lines.append) == 0
        _assert_restored(out, world)
        assert all("\n" not in line for line in lines)
        assert foreign.train(out, world.halving, warn=again.append) == 0
        assert not [line for line in again if "aside" in line or "again" in line], again
    except Exception as error:
        raise AssertionError(f"after: {done}; told: {lines}") from error


def _assert_restored(out, world):
    """Bit-equal results and curves, and checkpoints but those of ended packs whose folder is not there."""
    pd.testing.assert_frame_equal(table(out), world.reference.table, check_exact=True)
    pd.testing.assert_frame_equal(curves(out), world.reference.curves, check_exact=True)
    directory = Directory(out, ignore)
    for run_id, pack, lane in directory.read_runs(["run_id", "pack", "lane"]).itertuples(index=False):
        if run_id in world.reference.leaves and (directory.checkpoints / pack).exists():
            _, leaves = directory.checkpoint(pack)
            for name, expected in world.reference.leaves[run_id].items():
                assert expected.tobytes() == leaves[name][lane].tobytes(), (run_id, name)


def _assert_evaluated(out, world, chance):
    """A run that has ended gives its stored results again, or is refused."""
    try:
        loaded = lanes.load(out)
        ended = sorted(loaded.loc[loaded["status"] == "done", "run_id"])
        if not ended:
            return
        run_id = chance.choice(ended)
        seen = evaluate(out, run_ids=[run_id])
    except RequestError:
        return
    expected = world.reference.table.set_index("run_id").loc[run_id, "test_loss"]
    assert seen["evaluated_loss"].iloc[0] == pytest.approx(expected, rel=1e-6)
