"""The compiled programs: what a lane's numbers may depend on, and what they must not.

Packs are made by hand with one size, so that all tests share one or two compiled programs.
"""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import OVERLAPPING, STEPS

from lanes import Run, grid
from lanes.data.orders import epoch_order
from lanes.describe import checks
from lanes.engine.context import Context
from lanes.engine.options import Options
from lanes.engine.progress import Progress
from lanes.engine.trainer import Trainer
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack
from lanes.plan.planned import Planned, plan_runs
from lanes.plan.sharing import in_program
from lanes.program import initialization, metrics
from lanes.program.compiled import Compiled, Programs
from lanes.program.metrics import measure
from lanes.program.over_lanes import Data
from lanes.program.places import Place
from lanes.program.shared_activation import BRANCHES
from lanes.program.sharing import Sharing
from lanes.program.step import Trained, standardize, train_step
from lanes.recipe.averages import EMA
from lanes.storage import checkpoints
from lanes.storage.directory import Directory
from nets import MLP

DATASETS = Datasets()
QUIET = Options(quiet=True)
BASE = Run(
    data=OVERLAPPING,
    net=MLP(widths=(8,), norm="batch_norm"),
    learning_rate=0.05,
    batch_size=16,
    epochs=4,
    dropout=0.2,
    input_noise=0.1,
    l2=1e-3,
    average=EMA(0.9),
    patience=1,
)


def planned(sweep, share=True) -> list[Planned]:
    checked = [checks.resolved(run) for run in sweep]
    listed = plan_runs([checks.check_with_data(run, DATASETS.of(run)) for run in checked], DATASETS)
    every = Sharing(activations=tuple(BRANCHES))
    return in_program(listed, {one.run_id: every for one in listed if share and every.allows(one.run)})


def pack_of(*groups, width=8, size=16, seeds=4, share=True) -> Pack:
    """A pack of groups of runs; None is an empty lane, and short groups are padded with empty lanes."""
    lanes: list[Planned | None] = []
    for group in groups:
        members = [None if run is None else planned([run], share)[0] for run in group]
        lanes += [*members, *(None,) * (-len(members) % width)]
    lanes += [None] * (size - len(lanes))
    return Pack(tuple(lanes), width, seeds)


class Result(NamedTuple):
    """The result of one run: the leaves of its lane, its row in the results, its history by metric."""

    state: dict[str, np.ndarray]
    row: dict[str, Any]
    history: dict[str, np.ndarray]


class Bench:
    """Trains packs without a runner or files; programs are compiled once for all tests of the file."""

    def __init__(self, folder: Path, programs: Programs):
        self.compiled, self.folder, self.count = Compiled(programs=programs), folder, 0
        self.saved: dict[str, Any] = {}

    def submit(self, job: Callable, *args: Any, **_: Any) -> None:
        """Replaces the writer: keeps the last checkpoint and the results."""
        if job.__name__ == "save":
            _, self.saved["state"], self.saved["seats"], self.saved["history"], *_ = args
        else:
            self.saved["rows"] = args[-1]

    def train(
        self, pack: Pack, place: Place | None = None, options: Options = QUIET, times: int = 1
    ) -> dict[str, Result]:
        """Results by run_id, of the last time if one trainer trains the pack several times from the start."""
        self.count += 1
        place = place or Place((jax.devices()[0],), "local")
        directory = Directory(self.folder / str(self.count))
        progress = Progress([pack], 1, quiet=True)
        stop = threading.Event()
        context = Context(
            directory=directory,
            datasets=DATASETS,
            compiled=self.compiled,
            writer=self,
            progress=progress,
            stop=stop,
            options=options,
        )
        trainer = Trainer(place, context)
        for _ in range(times):
            trainer.train(pack)
        positions = self.saved["seats"].positions
        leaves = checkpoints.flatten(jax.device_get(self.saved["state"].lanes))
        leaves, history = {name: leaf[positions] for name, leaf in leaves.items()}, self.saved["history"]
        rows = {row["run_id"]: row for row in self.saved["rows"]}
        return {
            member.run_id: Result(
                {name: leaf[lane] for name, leaf in leaves.items()},
                {name: value for name, value in rows[member.run_id].items() if name != "seconds"},
                {name: values[at, : int(leaves["epochs"][lane])] for name, values in history.items()},
            )
            for at, (lane, member) in enumerate(zip(pack.places, pack.members))
        }


@pytest.fixture(scope="module", params=["quick code", pytest.param("users' code", marks=pytest.mark.slow)])
def bench(request, tmp_path_factory, optimized_programs) -> Bench:
    """A bench with programs that compile quickly and, in the slow tests, also one with programs compiled as users do."""
    programs = optimized_programs() if request.param == "users' code" else Programs()
    return Bench(tmp_path_factory.mktemp("bench"), programs)


def assert_equal(actual: Result, expected: Result) -> None:
    """Bit-equal in every leaf of the state, in the row and in every curve."""
    assert actual.state.keys() == expected.state.keys()
    for name in actual.state:
        np.testing.assert_array_equal(actual.state[name], expected.state[name], err_msg=name)
    assert actual.row == expected.row
    assert actual.history.keys() == expected.history.keys()
    for name in actual.history:
        np.testing.assert_array_equal(actual.history[name], expected.history[name], err_msg=name)


def run_id(run: Run) -> str:
    return planned([run])[0].run_id


A, B, C = BASE, dataclasses.replace(BASE, seed=1, learning_rate=0.01), dataclasses.replace(BASE, activation="tanh")
DIVERGING = dataclasses.replace(BASE, learning_rate=3e17, patience=4)
OTHERS = grid(BASE, learning_rate=[0.3, 0.02], dropout=[0.5], l2=[1e-2], patience=[2], seed=[2, 3])
TANH = [dataclasses.replace(run, activation="tanh") for run in OTHERS]


@pytest.fixture(scope="module", params=[8, pytest.param(1, marks=pytest.mark.slow)], ids=["width 8", "width 1"])
def width(request) -> int:
    return request.param


@pytest.fixture(scope="module")
def reference(bench, width) -> dict[str, Result]:
    """The three runs A, B and C in one pack of 16 lanes."""
    return bench.train(pack_of([A, B], [C], width=width))


ARRANGEMENTS = {
    "A alone": [[A]],
    "C alone": [[C]],
    "other order and places": [[C], [B, None, None, None, None, None, A]],
    "neighbours": [[*OTHERS, A, B], [*TANH, C]],
    "a diverging neighbour": [[DIVERGING, A, B], [C, dataclasses.replace(DIVERGING, activation="tanh")]],
}


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_a_lane_does_not_depend_on_its_neighbours(bench, width, reference, arrangement):
    groups = ARRANGEMENTS[arrangement]
    if width == 1:
        groups = [[run for group in groups for run in group]]
    results = bench.train(pack_of(*groups, width=width))
    compared = set(results) & set(reference)
    assert compared
    for identity in compared:
        assert_equal(results[identity], reference[identity])


@pytest.mark.parametrize(("seconds", "times", "expected"), [(0.0, 1, [1, 2, 3, 4]), (60.0, 1, [1, 4]), (60.0, 2, [4])])
def test_chunk_lengths_change_nothing(bench, width, reference, seconds, times, expected):
    """The first chunk has one epoch; once the trainer knows the program's speed, chunks fill the seconds."""
    ends = []
    options = Options(chunk_seconds=seconds, after_chunk=lambda _, epoch: ends.append(epoch))
    results = bench.train(pack_of([A, B], [C], width=width), options=options, times=times)
    assert ends[-len(expected) :] == expected
    for identity, result in results.items():
        assert_equal(result, reference[identity])


@pytest.mark.slow
def test_the_size_of_the_pack_and_the_number_of_seeds_change_nothing(bench, width, reference):
    if width == 1:
        pytest.skip("tested at width 8, to save a program")
    results = bench.train(pack_of([A], width=width, size=8, seeds=1))
    assert_equal(results[run_id(A)], reference[run_id(A)])


def test_the_device_changes_nothing(bench, width, reference):
    if width == 1:
        pytest.skip("tested at width 8, to save a program")
    results = bench.train(pack_of([A, B], [C], width=width), Place((jax.devices()[1],), "local"))
    for identity, result in results.items():
        assert_equal(result, reference[identity])


@pytest.mark.slow
def test_widths_agree_to_a_tolerance(bench):
    """The order of operations differs, so they are not bit-equal; after one epoch the difference is still rounding."""
    short = dataclasses.replace(BASE, epochs=1)
    narrow, wide = (bench.train(pack_of([short], width=width))[run_id(short)] for width in (1, 8))
    for name, leaf in narrow.state.items():
        if "hidden_0.dense.bias" in name or "norm.mean" in name:
            continue  # batch normalization removes it: its gradient is rounding error, which Adam scales up
        np.testing.assert_allclose(leaf, wide.state[name], rtol=2e-3, atol=2e-4, err_msg=name)


def test_lengths_may_differ_inside_a_pack(bench, width):
    """The schedule is constant, so the shorter run equals the beginning of the longer one."""
    patient = dataclasses.replace(BASE, patience=9)
    short, long = dataclasses.replace(patient, epochs=2), patient
    results = bench.train(pack_of([short, long], width=width))
    cut, whole = results[run_id(short)], results[run_id(long)]
    assert (cut.row["epochs"], cut.row["status"], whole.row["epochs"], whole.row["status"]) == (2, "done", 4, "done")
    for name in whole.history:
        np.testing.assert_array_equal(cut.history[name], whole.history[name][:2])


# ---- the end of an epoch ------------------------------------------------------------------------------------------


def stops_at(losses: np.ndarray, patience: int, min_delta: float = 0.0) -> int | None:
    """The epoch, counted from 1, after which a plain loop stops; None if it does not."""
    best, marked = np.float32(np.inf), 0
    for epoch, loss in enumerate(losses, 1):
        if loss < best - np.float32(min_delta):
            best, marked = loss, epoch
        if epoch - marked >= patience:
            return epoch
    return None


def test_early_stopping_and_the_best_epoch_follow_from_the_curve(bench):
    sweep = grid(BASE, patience=[1, 2], learning_rate=[0.3, 0.02], seed=[0, 1, 2, 3])
    results = bench.train(pack_of(sweep[:8], sweep[8:]))
    statuses = set()
    for run in sweep:
        result = results[run_id(run)]
        losses = result.history["valid_loss"]
        stop = stops_at(losses, run.patience)
        assert result.row["status"] == ("stopped_early" if stop else "done")
        assert result.row["epochs"] == len(losses) == (stop or 4)
        assert result.row["best_epoch"] == 1 + int(np.argmin(losses))
        assert result.state["best_loss"] == losses.min()
        statuses.add(result.row["status"])
    assert statuses == {"stopped_early", "done"}, "choose a sweep in which some runs stop early and some do not"


def test_the_earliest_of_equal_epochs_is_the_best(bench):
    # Steps of 1e-30 move no float32 parameter, and this net has no statistics: every epoch ties.
    still = Run(
        data=BASE.data, net=MLP(widths=(8,)), optimizer="sgd", batch_size=16, learning_rate=1e-30, l2=0.5, epochs=4
    )
    result = bench.train(pack_of([still]))[run_id(still)]
    assert np.ptp(result.history["valid_loss"]) == 0
    assert result.row["best_epoch"] == 1


# Descent on the penalty alone multiplies the kernels by 1 - 2·11·0.5 = -10 in each step, so the sum of their squares
# overflows after 19 or 20 steps, in the fourth epoch.
GROWING = Run(
    data=BASE.data, net=MLP(widths=(8,)), optimizer="sgd", batch_size=16, learning_rate=11.0, l2=0.5, epochs=6
)


def test_a_diverged_lane_is_rolled_back_and_labelled(bench):
    bad = first_bad_step(GROWING)
    kept = (bad - 1) // STEPS
    assert kept == 3
    shorter, calm = dataclasses.replace(GROWING, epochs=kept), dataclasses.replace(GROWING, learning_rate=0.05)
    results = bench.train(pack_of([GROWING, shorter, calm], width=4, size=4, share=False))
    result = results[run_id(GROWING)]
    assert result.row["status"] == "diverged"
    assert result.row["diverged_step"] == bad
    assert result.row["epochs"] == kept
    metrics = [name for name in result.row if name.startswith(("train_", "test_", "best_", "penalty"))]
    assert len(metrics) >= 6
    assert all(result.row[name] is None for name in metrics)
    assert results[run_id(shorter)].row["status"] == "done"
    assert results[run_id(calm)].row["epochs"] == 6
    for name, leaf in result.state.items():
        if name.startswith("trained."):
            np.testing.assert_array_equal(leaf, results[run_id(shorter)].state[name])
    for name, values in result.history.items():
        np.testing.assert_array_equal(values, results[run_id(shorter)].history[name])
        assert np.isfinite(values).all()
    alone = bench.train(pack_of([calm], width=4, size=4, share=False))
    assert_equal(alone[run_id(calm)], results[run_id(calm)])


@pytest.mark.slow
def test_a_penalty_that_overflows_after_the_last_step_is_not_a_divergence(bench):
    """One step takes the weights to 1e20, which is finite; their squares overflow, but only a second step would use them."""
    run = Run(
        data=BASE.data, net=MLP(widths=(8,)), optimizer="sgd", learning_rate=1e22, l2=1e-6, batch_size=16, steps=1
    )
    row = bench.train(pack_of([run], width=1, size=1, seeds=1, share=False))[run_id(run)].row
    assert (row["status"], row["diverged_step"]) == ("done", None)
    longer = dataclasses.replace(run, steps=2)
    row = bench.train(pack_of([longer], width=1, size=1, seeds=1, share=False))[run_id(longer)].row
    assert (row["status"], row["diverged_step"]) == ("diverged", 2)


def first_bad_step(run: Run) -> int:
    """The first step, counted from 1, whose loss or update is not finite, found by a plain loop over a jitted step."""
    (member,) = planned([run], share=False)
    setup, data = member.setup, DATASETS.of(member.run)
    parts = jnp.asarray(data.offset), jnp.asarray(data.scale)
    first = jax.jit(
        lambda: initialization.initial_variables(setup, member.run, (data.train.x, data.offset, data.scale))
    )()
    from lanes.program import lane

    state = lane.start(setup, member.run, first["params"], first["rest"], jnp.asarray(False)).trained

    @jax.jit
    def step(state: Trained, x: jax.Array, y: jax.Array, number: jax.Array) -> Any:
        return train_step(setup, member.run, state, (standardize(x, *parts), y), jnp.ones(()), number)

    for number in range(run.epochs * STEPS):
        order = epoch_order(len(data.train), run.seed, number // STEPS, run.batch_size)
        batch = order[number % STEPS * run.batch_size :][: run.batch_size]
        state, metrics = step(state, data.train.x[batch], data.train.y[batch], jnp.int32(number))
        if not bool(metrics.finite):
            return number + 1
    return 0


# ---- lengths in steps, evaluation ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_steps(bench) -> Result:
    """13 steps, evaluated every second epoch: the third epoch has 3 steps and, as the last, is evaluated."""
    run = Run(data=BASE.data, net=MLP(widths=(8,)), optimizer="sgd", batch_size=16, steps=13, eval_every=2)
    return bench.train(pack_of([run], width=1, size=1, seeds=1, share=False))[run_id(run)]


def test_a_length_in_steps_cuts_the_last_epoch(in_steps):
    assert in_steps.row["epochs"] == 3
    assert in_steps.row["status"] == "done"
    run = Run(data=BASE.data, net=MLP(widths=(8,)), optimizer="sgd", batch_size=16, steps=13, eval_every=2)
    (member,) = planned([run], share=False)
    data = DATASETS.of(member.run)
    x = np.asarray(
        standardize(jnp.asarray(data.train.x), jnp.asarray(data.offset), jnp.asarray(data.scale)), np.float64
    )
    variables = initialization.initial_variables(member.setup, member.run, (data.train.x, data.offset, data.scale))[
        "params"
    ]
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    hidden, output = p["hidden_0"]["dense"], p["output"]
    for number in range(13):  # one hidden layer of rectifiers, by hand
        batch = epoch_order(len(x), run.seed, number // STEPS, 16)[number % STEPS * 16 :][:16]
        h = x[batch] @ hidden["kernel"] + hidden["bias"]
        a = np.maximum(h, 0)
        z = a @ output["kernel"] + output["bias"]
        probability = np.exp(z - z.max(1, keepdims=True))
        probability /= probability.sum(1, keepdims=True)
        dz = (probability - np.eye(3)[data.train.y[batch]]) / 16
        dh = dz @ output["kernel"].T * (h > 0)
        for layer, inputs, delta in ((output, a, dz), (hidden, x[batch], dh)):
            layer["kernel"] = layer["kernel"] - run.learning_rate * inputs.T @ delta
            layer["bias"] = layer["bias"] - run.learning_rate * delta.sum(0)
    for name, leaf in checkpoints.flatten(p).items():
        np.testing.assert_allclose(in_steps.state[f"trained.params.{name}"], leaf, rtol=1e-5, atol=1e-6)


def test_evaluation_every_second_epoch_and_at_the_end(in_steps):
    assert np.isnan(in_steps.history["valid_loss"]).tolist() == [True, False, False]
    assert not np.isnan(in_steps.history["batch_loss"]).any()
    assert in_steps.row["best_epoch"] in (2, 3)


def test_blocks_of_an_evaluation_do_not_change_it():
    (member,) = planned([BASE], share=False)
    setup, run, data = member.setup, member.run, DATASETS.of(member.run)
    splits = {name: (jnp.asarray(split.x), jnp.asarray(split.y)) for name, split in data.splits().items()}
    on_device = Data(splits, jnp.asarray(data.offset), jnp.asarray(data.scale))
    variables = initialization.initial_variables(setup, run, (data.train.x, data.offset, data.scale))
    measured = []
    for bounds in (
        (metrics.BLOCK_NUMBERS, 1000),
        (2 * 7, 1),
    ):  # one block per split; blocks of 7 rows, which leave a remainder
        measured.append(
            jax.jit(lambda v, bounds=bounds: measure(setup, run, v, tuple(splits), on_device, *bounds))(variables)
        )
    whole, pieces = jax.device_get(measured)
    net_input = standardize(splits["test"][0], on_device.offset, on_device.scale)
    from lanes.program.step import apply

    logits = apply(setup, run, variables["params"], variables["rest"], net_input, train=False, keys={})[0]
    accuracy = np.mean(np.argmax(np.asarray(logits.prediction), 1) == data.test.y)
    for split in splits:
        for name in ("loss", "accuracy"):
            np.testing.assert_allclose(whole[split][name], pieces[split][name], rtol=1e-6)
    np.testing.assert_allclose(whole["test"]["accuracy"], accuracy, rtol=1e-6)


# ---- mappings ----------------------------------------------------------------------------------------------------


def test_shard_map_equals_pmap_and_both_are_near_local(bench):
    """On stable runs (plain descent): programs of several partitions keep divisions that others turn into products."""
    run = Run(data=BASE.data, net=MLP(widths=(8,)), optimizer="momentum", learning_rate=0.05, batch_size=16, epochs=2)
    sweep = grid(run, seed=range(4), learning_rate=[0.01, 0.05])
    pack = pack_of(sweep[:4], sweep[4:], width=4, size=8, share=False)
    devices = tuple(jax.devices()[:2])
    local, shards, pmap = (
        bench.train(pack, place)
        for place in (Place(devices[:1], "local"), Place(devices, "shard_map"), Place(devices, "pmap"))
    )
    for identity, result in shards.items():
        for name, leaf in result.state.items():
            np.testing.assert_array_equal(leaf, pmap[identity].state[name], err_msg=name)
            np.testing.assert_allclose(leaf, local[identity].state[name], rtol=1e-4, atol=1e-5, err_msg=name)
        assert result.row["mapping"] == "shard_map"
        assert pmap[identity].row["device"].endswith("x2")


COMPILING: list[str] = []  # programs that JAX compiled, or loaded from its cache, since the list was cleared


@pytest.fixture(scope="module")
def compilations() -> list[str]:
    """A list that grows with every program that JAX compiles."""

    def listen(event: str, _seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            COMPILING.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return COMPILING


@pytest.mark.usefixtures("nothing_stored")
def test_other_numbers_neighbours_and_chunks_compile_nothing(bench, compilations):
    """Rates, strengths, seeds, activations, lengths and chunks are inputs of the existing programs."""
    bench.train(pack_of([A, B], [C]))
    compilations.clear()
    bench.train(pack_of([*OTHERS, dataclasses.replace(A, epochs=3)], TANH), options=Options(chunk_seconds=0.0))
    assert not compilations
    jax.jit(lambda x: x + 2)(jnp.ones(3))
    assert compilations, "the listener does not see compilations"
