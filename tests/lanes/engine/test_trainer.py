"""Sweeps from the request to the tables: resuming, interrupting, adding runs, failing, and what is compiled."""

import dataclasses
import itertools
import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING, STEPS

from lanes import Run, grid, load, load_curves
from lanes.engine import session
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus
from lanes.plan.packs import Pack, numbers_of
from lanes.program.compiled import Programs
from lanes.storage import calls, checkpoints
from lanes.storage.directory import Directory
from nets import MLP

PROGRAMS = Programs()

BASE = Run(
    data=OVERLAPPING,
    net=MLP(widths=()),
    optimizer="sgd",
    learning_rate=0.1,
    batch_size=16,
)
# Packs of 4 lanes, so that a sweep of eight runs has two.
ONE = Options(devices=1, width=4, quiet=True, pack_lanes=4, programs=PROGRAMS)
ALONE = dataclasses.replace(ONE, programs=None)  # the test counts its own compilations
SHORT = dataclasses.replace(ONE, chunk_seconds=0.0)  # one epoch in a chunk
SWEEP = grid(dataclasses.replace(BASE, epochs=4), learning_rate=[0.1, 1.0], seed=range(4))


def swept(sweep, out, options=ONE, **more):
    return run_sweep(make_plan(sweep, options), Path(out), options, **more)


def tables(out) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results and curves in a fixed order, without times and without the pack and lane of each run."""
    results = load(out).drop(columns=["seconds", "calls", "pack", "lane", "pack_shape", "program"], errors="ignore")
    results = results.sort_values("run_id", ignore_index=True)
    return results, load_curves(out).sort_values(["run_id", "epoch"], ignore_index=True)


def assert_same(actual, expected):
    for mine, theirs in zip(tables(actual), tables(expected)):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The sweep, uninterrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, swept(SWEEP, out)


def test_a_sweep_ends_with_a_row_for_each_run(whole):
    out, outcome = whole
    assert outcome.status == ExitStatus.DONE
    assert (outcome.ended, outcome.planned, outcome.trained, outcome.programs) == (8, 8, 8, 1)
    assert outcome.steps == 8 * 4 * STEPS
    results, curves = tables(out)
    assert set(results["status"]) == {"done"}
    assert set(results["run_id"]) == {member.run_id for member in make_plan(SWEEP, ONE).planned}
    assert len(curves) == 8 * 4
    best = curves.loc[curves.groupby("run_id")["valid_loss"].idxmin()].set_index("run_id")
    for row in results.itertuples():
        assert row.best_epoch == best.loc[row.run_id, "epoch"]
        assert row.valid_loss == best.loc[row.run_id, "valid_loss"]
        assert (row.width, row.mapping) == (4, "local")
    written = json.loads((out / "sweep.json").read_text())
    assert {"command", "versions", "devices", "mapping", "widths", "git_revision"} <= set(written)


def test_the_same_command_again_does_nothing(whole):
    out, _ = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file() and "parquet" in path.name}
    outcome = swept(SWEEP, out)
    assert (outcome.status, outcome.trained, outcome.steps, outcome.programs) == (ExitStatus.DONE, 0, 0, 0)
    assert "had already ended: nothing to do" in outcome.summary(out)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_repeating_part_of_the_sweep_does_nothing_and_repeats_no_row(whole):
    out, _ = whole
    outcome = swept(SWEEP[:3], out)
    assert (outcome.ended, outcome.planned, outcome.trained, outcome.steps) == (3, 3, 0, 0)
    assert load(out)["run_id"].is_unique
    assert len(load(out)) == 8


def stopping_after(chunks: int, options: Options = SHORT) -> Options:
    """Options that stop a sweep after `chunks` chunks."""
    count = itertools.count(1)
    return dataclasses.replace(options, after_chunk=lambda *_: next(count) == chunks)


@pytest.mark.parametrize("chunks", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_an_interrupted_sweep_resumes_bit_for_bit_without_repeating_a_step(whole, tmp_path, chunks):
    first = swept(SWEEP, tmp_path / "out", stopping_after(chunks))
    assert first.status == ExitStatus.STOPPED
    assert first.steps == chunks * 4 * STEPS  # four lanes
    assert first.ended == chunks // 4 * 4
    second = swept(SWEEP, tmp_path / "out")
    assert second.status == ExitStatus.DONE
    assert first.steps + second.steps == 8 * 4 * STEPS
    assert_same(tmp_path / "out", whole[0])
    one, two = (found["call"] for found in calls.read_all(Directory(tmp_path / "out")))
    assert set(load(tmp_path / "out")["calls"]) == {f"{one} {two}", one if chunks > 4 else two}


def test_writing_that_a_stop_leaves_no_time_for_is_no_failure(tmp_path, monkeypatch):
    go, save = threading.Event(), checkpoints.save

    def slow_save(*args: Any) -> None:
        go.wait(20)
        save(*args)

    monkeypatch.setattr(checkpoints, "save", slow_save)
    monkeypatch.setattr(session, "WRITING_GRACE", 0.1)
    lines: list[str] = []
    options = stopping_after(1)
    outcome = run_sweep(make_plan(SWEEP, options), tmp_path / "out", options, warn=lines.append)
    go.set()
    assert (outcome.status, outcome.failures, outcome.ended) == (ExitStatus.STOPPED, (), 0)
    assert [line for line in lines if "not finished in time" in line] == lines


def test_work_killed_before_its_checkpoint_was_complete_is_repeated_once(whole, tmp_path):
    first = swept(SWEEP, tmp_path / "out", stopping_after(2))
    (sums,) = (tmp_path / "out" / "checkpoints").glob("*/*/checksums.json")
    sums.unlink()  # what a kill in the middle of saving leaves
    second = swept(SWEEP, tmp_path / "out")
    assert first.steps + second.steps <= 8 * 4 * STEPS + 2 * 4 * STEPS
    assert_same(tmp_path / "out", whole[0])


def test_tables_of_orders_that_end_before_the_runs_change_nothing(whole, tmp_path):
    """A table has room for three epochs, so the fourth is in the next one; no chunk goes beyond its table."""
    options = dataclasses.replace(ONE, chunk_steps=3 * STEPS)
    first = swept(SWEEP, tmp_path / "out", stopping_after(2, options))  # epoch 0 alone, then 1 and 2 of the three left
    assert first.steps == 3 * 4 * STEPS
    assert swept(SWEEP, tmp_path / "out", options).status == ExitStatus.DONE
    assert_same(tmp_path / "out", whole[0])


def test_more_runs_in_the_file_add_only_the_new_ones(whole, tmp_path):
    out = tmp_path / "out"
    swept(SWEEP[:4], out)
    more = swept(SWEEP, out)
    assert (more.trained, more.steps) == (4, 4 * 4 * STEPS)
    assert_same(out, whole[0])
    table = load(out)
    assert table["run_id"].is_unique


@pytest.mark.slow
def test_a_sweep_resumed_in_part_and_then_as_a_whole_has_every_run_once(whole, tmp_path):
    out = tmp_path / "out"
    swept(SWEEP, out, stopping_after(1))
    assert swept(SWEEP[:2], out).ended == 2
    assert swept(SWEEP, out).ended == 8
    assert load(out)["run_id"].is_unique
    assert_same(out, whole[0])


@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_the_number_of_devices_changes_no_number(whole, tmp_path, count):
    out = tmp_path / "out"
    outcome = swept(SWEEP, out, dataclasses.replace(ONE, devices=count))
    assert outcome.programs == 1
    assert_same(out, whole[0])


def test_a_time_limit_stops_and_saves_after_a_chunk(whole, tmp_path):
    options = dataclasses.replace(ALONE, max_seconds=0.0, after_chunk=lambda *_: time.sleep(0.2))
    for _ in range(2):
        outcome = swept(SWEEP, tmp_path / "out", options)
        assert outcome.status == ExitStatus.STOPPED
        assert outcome.steps > 0
    assert swept(SWEEP, tmp_path / "out").ended == 8
    assert_same(tmp_path / "out", whole[0])


def test_the_width_of_the_directory_binds(whole):
    lines = []
    outcome = swept(SWEEP, whole[0], dataclasses.replace(ONE, width=2), warn=lines.append)
    assert outcome.trained == 0
    assert any("--width 2 is ignored" in line for line in lines)


def test_a_pack_that_fails_is_named_in_one_line_and_the_others_go_on(tmp_path):
    plan = make_plan(SWEEP, ONE)
    broken = {member.run_id for member in plan.planned if member.run.learning_rate == 0.1}

    def failing(pack, _epoch):
        if pack.members[0].run_id in broken:
            raise RuntimeError("no more memory\nand a long traceback")

    outcome = run_sweep(plan, tmp_path / "out", dataclasses.replace(ONE, after_chunk=failing))
    assert outcome.status == ExitStatus.FAILED
    (line,) = outcome.failures
    assert "no more memory" in line
    assert "\n" not in line
    assert load(tmp_path / "out")["status"].value_counts().to_dict() == {"done": 4, "failed": 4}
    again = swept(SWEEP, tmp_path / "out")  # failed runs are tried again
    assert (again.status, again.trained) == (ExitStatus.DONE, 4)
    assert set(load(tmp_path / "out")["status"]) == {"done"}


# ---- what is compiled --------------------------------------------------------------------------------------------


class Compilations:
    """Counts XLA's compilations."""

    def __init__(self):
        self.count = 0

    def __call__(self, event: str, _seconds: float, **_) -> None:
        self.count += event == "/jax/core/compile/backend_compile_duration"


@pytest.fixture
def compilations(nothing_stored):  # noqa: ARG001
    counter = Compilations()
    jax.monitoring.register_event_duration_secs_listener(counter)
    yield counter
    jax.monitoring.unregister_event_duration_listener(counter)


def test_more_packs_chunks_rates_and_seeds_compile_nothing_new(tmp_path, compilations):
    base, options = dataclasses.replace(BASE, epochs=2), dataclasses.replace(ALONE, chunk_seconds=0.0)
    few = swept(grid(base, learning_rate=[0.1], seed=range(4)), tmp_path / "few", options)
    for_few = compilations.count
    many = swept(grid(base, learning_rate=[0.1, 0.2, 0.3, 0.4], seed=range(8)), tmp_path / "many", options)
    for_many = compilations.count - for_few
    assert (few.programs, many.programs) == (1, 1)
    assert 0 < for_many <= for_few  # more packs and chunks need no program that the first did not


@pytest.mark.slow
def test_ten_activations_six_initializers_four_rates_three_seeds_are_one_program(tmp_path):
    base = dataclasses.replace(BASE, net=MLP(widths=(4,)), epochs=1)
    names = ["relu", "tanh", "sigmoid", "softplus", "elu", "selu", "leaky_relu", "softsign", "swish", "mish"]
    initializers = ["zeros", "uniform_0.01", "xavier_normal", "lecun_normal", "he_normal", "orthogonal"]
    axes = {"initializer": initializers, "learning_rate": [1e-3, 3e-3, 1e-2, 3e-2], "seed": range(3)}
    options = Options(devices=1, quiet=True)
    outcome = swept(grid(base, activation=names, **axes), tmp_path / "out", options)
    assert outcome.ended == outcome.planned == 720
    assert outcome.programs == 1
    regularized = make_plan(grid(base, activation=names, l2=[0.0, 1e-3], dropout=[0.0, 0.1], **axes), options)
    assert len({member.signature for member in regularized.planned}) == 1  # each regularizer on or off


# ---- stopping from outside ---------------------------------------------------------------------------------------


def test_a_signal_saves_and_returns(whole, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    is_sent = threading.Event()

    def ring(_pack, _epoch):
        if not is_sent.is_set():
            is_sent.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(1)  # gives the main thread time to handle it

    outcome = swept(SWEEP, tmp_path / "out", dataclasses.replace(SHORT, after_chunk=ring))
    assert signal.getsignal(signal.SIGINT) is before
    assert outcome.status == ExitStatus.STOPPED
    assert 0 < outcome.steps < 8 * 4 * STEPS
    assert swept(SWEEP, tmp_path / "out").ended == 8
    assert_same(tmp_path / "out", whole[0])


def test_numbers_of_a_pack_have_the_types_that_the_program_takes():
    (member,) = make_plan([dataclasses.replace(BASE, patience=3, seed=2**32 - 1)], ONE).planned
    pack = Pack((member, None), 2, 1)
    numbers = numbers_of(pack)
    assert numbers["seed"].dtype == np.uint32
    assert numbers["seed"].tolist() == [2**32 - 1] * 2
    assert numbers["epochs"].dtype == numbers["patience"].dtype == np.int32
    assert numbers["learning_rate"].dtype == np.float32


# ---- streamed ------------------------------------------------------------------------------------------------------

RATES = grid(dataclasses.replace(BASE, epochs=3), learning_rate=[0.03, 0.1, 0.3, 1.0])
STREAMED = dataclasses.replace(ONE, data_bytes=700)  # of 1,440 bytes: one batch of 192 at a time, three of them alive


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """The sweep with streamed batches, uninterrupted."""
    out = tmp_path_factory.mktemp("streamed") / "out"
    return out, swept(RATES, out, STREAMED)


@pytest.mark.slow
def test_a_streamed_sweep_learns_what_a_resident_one_does(streamed, tmp_path):
    """Bit-equal except for the batch loss, which another program sums; with input noise only up to rounding."""
    out, outcome = streamed
    assert (outcome.status, outcome.steps) == (ExitStatus.DONE, 4 * 3 * STEPS)
    swept(RATES, tmp_path / "out")
    mine, theirs = (tables(folder)[1] for folder in (out, tmp_path / "out"))
    np.testing.assert_allclose(mine.pop("batch_loss"), theirs.pop("batch_loss"), rtol=1e-6)
    pd.testing.assert_frame_equal(mine, theirs, check_exact=True)


@pytest.mark.parametrize("chunks", [7, pytest.param(2, marks=pytest.mark.slow)])
def test_a_streamed_sweep_resumes_at_the_exact_batch(streamed, tmp_path, chunks):
    """Chunks have one step, so the checkpoint is in the middle of an epoch."""
    stopping = stopping_after(chunks, dataclasses.replace(STREAMED, chunk_seconds=0.0))
    first = swept(RATES, tmp_path / "out", stopping)
    assert (first.status, first.steps) == (ExitStatus.STOPPED, 4 * chunks)
    second = swept(RATES, tmp_path / "out", STREAMED)
    assert (second.status, second.steps) == (ExitStatus.DONE, 4 * (3 * STEPS - chunks))
    assert_same(tmp_path / "out", streamed[0])


@pytest.mark.usefixtures("nothing_stored")
def test_nothing_but_its_programs_is_compiled(tmp_path):
    """Neither before the first step nor after the last: no operation outside the programs compiles one of its own."""
    compiled: list[str] = []

    def listen(event: str, _: float, **about: object) -> None:
        # Whether an option is known is tried on an empty program, once in a process.
        if event == "/jax/core/compile/backend_compile_duration" and "_nothing" not in str(about):
            compiled.append(str(about))

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        outcome = swept(SWEEP, tmp_path / "out", dataclasses.replace(SHORT, programs=None))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert outcome.status == ExitStatus.DONE
    assert len(compiled) == len(["initialize", "start", "train", "evaluate"]), compiled
