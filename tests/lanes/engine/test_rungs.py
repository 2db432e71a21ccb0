"""Successive halving: decisions at rungs, survivors whose numbers stay the same, kills, shards, invalid requests."""

import dataclasses
import itertools
import json
import math
import shutil
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING, STEPS

from lanes import Halving, RequestError, Run, grid, load, load_curves, restore
from lanes.describe.halving import parse_halving
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.engine.session import Session
from lanes.errors import ExitStatus
from lanes.program.compiled import Programs
from lanes.storage.checkpoints import CHECKSUMS
from lanes.storage.directory import Directory
from lanes.storage.trained import variables_of
from nets import MLP

PROGRAMS = Programs()

BASE = Run(
    data=OVERLAPPING,
    net=MLP(widths=()),
    optimizer="sgd",
    batch_size=16,
    epochs=6,
)
SWEEP = grid(BASE, learning_rate=[1e-4, 1e-2, 0.1, 1e38], seed=range(6))  # the last rate diverges
HALVING = Halving(rungs=(2, 4), keep=0.5)
# Packs of 8 lanes in two groups, so that a sweep of 24 runs has three.
PLAIN = Options(devices=1, width=4, quiet=True, pack_lanes=8, programs=PROGRAMS)
HALVED = dataclasses.replace(PLAIN, halving=HALVING)


def swept(out, options=HALVED, sweep=SWEEP):
    return run_sweep(make_plan(sweep, options), Path(out), options)


def table(out) -> pd.DataFrame:
    """Results by run_id, without times and without the pack and lane of each run."""
    dropped = ["seconds", "calls", "pack", "lane", "pack_shape", "program"]
    return load(out).drop(columns=dropped).set_index("run_id").sort_index()


def curves(out) -> pd.DataFrame:
    return load_curves(out).set_index(["run_id", "epoch"]).sort_index()


def variables(out) -> dict:
    """The best and the last variables of every run, by (run_id, epoch); each pack's checkpoint is read twice."""
    found = {}
    for pack, members in load(out).groupby("pack"):
        for epoch in ("best", "last"):
            leaves = variables_of(Directory(out), pack, [int(lane) for lane in members.lane], epoch)
            for at, run_id in enumerate(members.run_id):
                found[run_id, epoch] = jax.tree.map(lambda leaf: leaf[at], leaves)  # noqa: B023
    return found


def assert_same(actual, expected):
    pd.testing.assert_frame_equal(table(actual), table(expected), check_exact=True)
    pd.testing.assert_frame_equal(curves(actual), curves(expected), check_exact=True)
    jax.tree.map(np.testing.assert_array_equal, variables(actual), variables(expected))


def expected_epochs(curves: pd.DataFrame, diverged: set[str]) -> dict[str, int]:
    """The epoch that each run should reach, in plain Python, from the curves of the sweep without halving."""
    epochs, left = dict.fromkeys(curves.index.unique("run_id"), BASE.epochs) | dict.fromkeys(diverged, 0), None
    left = sorted(epochs)
    for rung in HALVING.rungs:
        values = {}
        for run_id in left:
            seen = [] if run_id in diverged else [curves.valid_loss[run_id, epoch] for epoch in range(1, rung + 1)]
            values[run_id] = min([value for value in seen if math.isfinite(value)], default=math.inf)
        ranked = sorted(left, key=lambda run_id: (values[run_id], run_id))
        for run_id in ranked[len(left) // 2 :]:
            epochs[run_id] = min(epochs[run_id], rung)
        left = ranked[: len(left) // 2]
    return epochs


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The sweep without halving."""
    out = tmp_path_factory.mktemp("plain") / "out"
    assert swept(out, PLAIN).status == ExitStatus.DONE
    return out


@pytest.fixture(scope="module")
def halved(tmp_path_factory):
    """The sweep with halving, uninterrupted."""
    out = tmp_path_factory.mktemp("halved") / "out"
    return out, swept(out)


def test_each_rung_keeps_the_better_half(plain, halved):
    out, outcome = halved
    assert (outcome.status, outcome.ended, outcome.planned, outcome.trained) == (ExitStatus.DONE, 24, 24, 24)
    ended, whole = table(out), table(plain)
    diverged = set(whole.index[whole.status == "diverged"])
    assert len(diverged) == 6
    assert ended.epochs_done.astype(int).to_dict() == expected_epochs(curves(plain), diverged)
    assert ended.status.value_counts().to_dict() == {"pruned": 12, "done": 6, "diverged": 6}
    assert not diverged & set(json.loads((out / "rungs" / "2.json").read_text())["kept"])


def test_survivors_equal_the_sweep_without_halving(plain, halved):
    out, _ = halved
    mine, theirs = table(out), table(plain)
    done = mine.index[mine.status == "done"]
    pd.testing.assert_frame_equal(mine.loc[done], theirs.loc[done], check_exact=True)
    mine = curves(out)
    pd.testing.assert_frame_equal(mine, curves(plain).loc[mine.index], check_exact=True)
    saved = [variables(folder) for folder in (out, plain)]
    for run_id, epoch in itertools.product(done, ("best", "last")):
        jax.tree.map(np.testing.assert_array_equal, *(found[run_id, epoch] for found in saved))


def test_pruned_runs_have_the_metrics_of_their_best_epoch_so_far(halved):
    out, _ = halved
    seen = curves(out)
    for run_id, row in table(out).query("status == 'pruned'").iterrows():
        best = seen.loc[run_id].valid_loss
        assert (row.best_epoch, row.valid_loss) == (best.idxmin(), best.min())
        assert math.isfinite(row.test_loss)
        restore(out, run_id)


def test_pruned_runs_cost_no_more_work_and_no_program_is_added(halved):
    out, outcome = halved
    assert outcome.programs == 1
    assert outcome.steps == table(out).epochs_done.sum() * STEPS
    # 24 lanes to epoch 2; then 12, in at most 4 of the 6 groups of 3 packs; then 6, in 3 of them.
    assert outcome.computed <= (24 * 2 + 16 * 2 + 12 * 2) * STEPS
    packs = set(load(out)["pack"])
    assert {path.name for path in (out / "checkpoints").iterdir()} == packs
    assert {path.stem for path in (out / "curves").iterdir()} == packs


def test_the_same_call_again_has_nothing_to_do(halved, tmp_path):
    out = shutil.copytree(halved[0], tmp_path / "out")
    assert swept(out).trained == 0
    assert swept(out, PLAIN).trained == 0  # the directory's halving holds
    assert_same(out, halved[0])


@pytest.mark.parametrize("at", [7, *(pytest.param(at, marks=pytest.mark.slow) for at in (1, 5, 9))])
def test_a_sweep_stopped_after_a_chunk_resumes_bit_for_bit(halved, tmp_path, at):
    """The sweep stops after `at` chunks; the same call resumes it and ends with the same numbers."""
    chunks = itertools.count(1)
    options = dataclasses.replace(HALVED, chunk_seconds=0.0, after_chunk=lambda *_: next(chunks) == at)
    out = tmp_path / "out"
    assert swept(out, options).status == ExitStatus.STOPPED
    assert swept(out, options).status == ExitStatus.DONE
    assert_same(out, halved[0])


@pytest.fixture(scope="module")
def died(tmp_path_factory):
    """The directory of a worker that died after the last rung, before it trained the survivors to the end."""
    train = Session.train

    def dying(self):
        if self.stage.until is None:
            raise KeyboardInterrupt
        return train(self)

    out = tmp_path_factory.mktemp("died") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "train", dying)
        with pytest.raises(KeyboardInterrupt):
            swept(out)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["rungs", "checkpoints", "curves", "2.json", "4.json", "sweep.json"])
def test_files_lost_between_rungs_are_made_again(halved, died, tmp_path, lost):
    """Files are lost between the death of a worker and the start of the next."""
    out = Path(shutil.copytree(died, tmp_path / "out"))
    ended = {path.stem for path in (out / "results").iterdir()}
    for path in [*out.glob(lost), *out.glob(f"*/{lost}")]:
        if lost == "checkpoints":
            for pack in {each.name for each in path.iterdir()} - ended:
                for sums in (path / pack).rglob(CHECKSUMS):
                    sums.write_text("{}")
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.write_text("damaged")
    assert swept(out).status == ExitStatus.DONE
    assert_same(out, halved[0])


@pytest.mark.slow
def test_shards_wait_for_each_other(halved, tmp_path):
    out, outcomes = tmp_path / "out", []
    for index in (0, 1, 0, 1):
        outcomes.append(swept(out, dataclasses.replace(HALVED, shard=(index, 2), wait_seconds=0.0)))
    assert outcomes[0].status == ExitStatus.STOPPED
    assert outcomes[0].failures == ("waiting at epoch 2 for shard 1/2 (8 runs): run it, then repeat this command",)
    assert outcomes[-1].status == ExitStatus.DONE
    assert_same(out, halved[0])


@pytest.mark.slow
def test_failed_runs_are_ranked_last_and_the_others_go_on(tmp_path):
    broken = []

    def breaking(pack, _epoch):
        broken.append(pack.pack_id)
        if pack.pack_id == broken[0]:
            raise ValueError("broken")

    outcome = swept(tmp_path / "out", dataclasses.replace(HALVED, after_chunk=breaking))
    assert outcome.status == ExitStatus.FAILED
    assert outcome.failures == (f"pack {broken[0]} (8 runs): ValueError: broken",)
    assert load(tmp_path / "out").status.value_counts()["failed"] == 8
    assert swept(tmp_path / "out").status == ExitStatus.DONE
    assert load(tmp_path / "out").status.notna().all()


def test_nan_is_never_better_than_a_number():
    values = {"a": math.nan, "b": 3.0, "c": math.inf, "d": 1.0, "e": math.nan, "f": 2.0, "g": 2.0}
    assert Halving((1,), 0.5).kept(values, False) == ["d", "f", "g"]
    assert Halving((1,), 0.9).kept(values, False) == ["d", "f", "g", "b", "a", "c"]
    assert Halving((1,), 0.5, "valid_accuracy").kept(values, True) == ["b", "f", "g"]
    assert Halving((1,), 0.01).kept(values, False) == ["d"]
    assert len(Halving((1,), 1 / 3).kept(dict.fromkeys("abcdefghi", 0.0), False)) == 3


def test_runs_are_ranked_by_their_best_value_up_to_the_rung():
    history = np.array([[3.0, 1.0, 0.5], [np.nan, 2.0, 0.1], [np.nan, np.inf, 0.0]], np.float32)
    np.testing.assert_array_equal(Halving((2,)).best(history, 2, False), [1.0, 2.0, np.nan])
    np.testing.assert_array_equal(Halving((2,), metric="valid_accuracy").best(history, 2, True), [3.0, 2.0, np.nan])


@pytest.mark.parametrize(
    ("halving", "run", "words"),
    [
        (Halving((4, 2)), {}, "increasing positive epochs"),
        (Halving((0,)), {}, "increasing positive epochs"),
        (Halving(()), {}, "increasing positive epochs"),
        (Halving((2,), 1.0), {}, "above 0 and below 1"),
        (Halving((2,), math.nan), {}, "above 0 and below 1"),
        (Halving((6,)), {}, "a run of 6 epochs"),
        (Halving((2,)), {"steps": 7, "epochs": 1}, "a run of 2 epochs"),
        (Halving((2,), metric="valid_acuracy"), {}, "did you mean 'valid_accuracy'"),
        (Halving((2,)), {"valid_fraction": 0.0}, "set valid_fraction above 0"),
        (Halving((2,)), {"eval_every": 3}, "evaluate more often"),
    ],
)
def test_wrong_requests_are_refused(halving, run, words):
    options = dataclasses.replace(PLAIN, halving=halving)
    with pytest.raises(RequestError, match=words):
        make_plan([dataclasses.replace(BASE, **run)], options)


def test_a_directory_keeps_the_halving_and_the_runs_it_was_begun_with(plain, halved):
    out, _ = halved
    for options, sweep, words in (
        (dataclasses.replace(PLAIN, halving=Halving((2,))), SWEEP, "was begun with halving 2,4 keep 0.5 by valid_loss"),
        (HALVED, SWEEP[:-1], "ranks its 24 runs against each other"),
        (HALVED, [*SWEEP, dataclasses.replace(BASE, seed=99)], "ranks its 24 runs against each other"),
    ):
        with pytest.raises(RequestError, match=words):
            swept(out, options, sweep)
    with pytest.raises(RequestError, match="was begun without halving"):
        swept(plain)


def test_halving_is_parsed_from_the_command_line():
    assert parse_halving(None, None, None) is None
    assert parse_halving("5,10", None, None) == Halving((5, 10))
    assert parse_halving("5", 0.25, "valid_accuracy") == Halving((5,), 0.25, "valid_accuracy")
    for arguments in (("5,x", None, None), ("", None, None), ("5", 2.0, None), (None, 0.5, None), ("10,5", None, None)):
        with pytest.raises(RequestError):
            parse_halving(*arguments)
