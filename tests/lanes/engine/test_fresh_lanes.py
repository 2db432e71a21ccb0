"""Initial variables: initializers share a program, and draw what each draws in a program of its own."""

import dataclasses

import jax
import numpy as np
import pytest
from small_sweeps import OVERLAPPING

from benchmarks import lowering
from lanes import Run, grid
from lanes.describe import checks, runs
from lanes.engine.fresh_lanes import FreshLanes, LaneShapes, cheap_to_compile, drawing_keys, is_repetitive
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack, make_packs, numbers_of
from lanes.plan.planned import initializing, plan_runs
from lanes.program import initialization, shared_widths, xla_flags
from lanes.program.compiled import Compiled, Programs
from lanes.program.places import Place
from nets import MLP, FanInUniform, Uniform

DATASETS = Datasets()
PROGRAMS = Programs()
BASE = Run(data=OVERLAPPING, net=MLP(widths=()), batch_size=16, epochs=1)


def doubled(key, shape, dtype=np.float32):
    """A user's own initializer."""
    return 2 * jax.random.normal(key, shape, dtype)


def wide_pack_of(sweep) -> Pack:
    """A pack whose net is as wide as the widest of the runs."""
    planned = make_plan(sweep, Options(devices=1)).planned
    (pack,) = make_packs(planned, {member.signature: 8 for member in planned}, 1, 1)
    return pack


def pack_of(sweep) -> Pack:
    checked = [checks.resolved(run) for run in sweep]
    planned = plan_runs([checks.check_with_data(run, DATASETS.of(run)) for run in checked], DATASETS)
    (pack,) = make_packs(planned, {member.signature: 8 for member in planned}, 1, 1)
    return pack


def drawn(sweep, compiled, device=0):
    """The initial parameters by run_id, and a pack's lanes."""
    return drawn_of(pack_of(sweep), compiled, device)


def drawn_of(pack, compiled, device=0):
    """Those of a pack."""
    fresh = FreshLanes(Place((jax.devices()[device],), "local"), compiled, LaneShapes(DATASETS))
    lanes = fresh.make(pack, numbers_of(pack))
    params = jax.device_get(lanes.trained.params)
    return {
        member.run_id: jax.tree.map(lambda leaf, at=at: leaf[at], params)
        for at, member in zip(pack.places, pack.members, strict=True)
    }, lanes


KINDS = [
    "he_normal",
    "orthogonal",
    Uniform(0.1),
    Uniform(0.3),
    "xavier_normal",
    "lecun_uniform",
    "normal",
    "fan_in_uniform",
    "sparse",
    "constant",
]
MIXED = grid(BASE, initializer=KINDS, seed=[3], init_scale=[1.3])


@pytest.fixture(scope="module")
def mixed():
    compiled = Compiled(programs=PROGRAMS)
    return drawn(MIXED, compiled)[0], compiled


def test_initializers_share_one_program(mixed):
    assert [key[0] for key in mixed[1].keys] == ["initialize", "start"]


@pytest.mark.parametrize("which", [0, 1, 3, 4, 5, 6, 7, 8, 9])
def test_a_shared_program_draws_what_an_initializers_own_draws(mixed, which):
    compiled = Compiled(programs=PROGRAMS)
    ((run_id, alone),) = drawn([MIXED[which]], compiled)[0].items()
    jax.tree.map(np.testing.assert_array_equal, mixed[0][run_id], alone)


def test_places_of_a_cpu_share_the_programs_that_initialize(mixed):
    compiled: list[str] = []

    def listen(event: str, *_: object, **__: object) -> None:
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        again, lanes = drawn(MIXED, Compiled(programs=PROGRAMS), device=1)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    jax.tree.map(np.testing.assert_array_equal, again, mixed[0])
    assert lanes.status.devices() == {jax.devices()[1]}
    assert not any("backend_compile" in event for event in compiled)


def test_own_and_transforming_initializers_keep_programs_of_their_own():
    assert not initialization.may_share(doubled)
    checked = [checks.resolved(dataclasses.replace(BASE, initializer=one)).initializer for one in ("lsuv", "he_normal")]
    assert [initialization.may_share(one) for one in checked] == [False, True]


@pytest.mark.parametrize("fields", [{}, {"bias_initializer": FanInUniform(2.0)}], ids=str)
def test_one_program_draws_nets_of_all_widths(fields):
    """As those of their own do; only what draws a whole matrix has a program for each size."""
    base = dataclasses.replace(BASE, init_scale=1.3, **fields)
    sizes = [MLP(widths=widths) for widths in ((3, 8), (6, 2))]
    of_size = [grid(base, net=[net], initializer=["lecun_uniform", "he_normal", "orthogonal"]) for net in sizes]
    pack, compiled = wide_pack_of([run for runs_ in of_size for run in runs_]), Compiled(programs=PROGRAMS)
    assert pack.members[0].sharing.widths == (6, 8)
    assert len(drawing_keys(pack)) == 1 + len(sizes)
    params = drawn_of(pack, compiled)[0]
    expected = {run_id: one for runs_ in of_size for run_id, one in drawn(runs_, compiled)[0].items()}
    for member in pack.members:
        own = shared_widths.own_part(params[member.run_id], member.run.net.widths)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-7), own, expected[member.run_id])
        for wide, part in zip(*map(jax.tree.leaves, (params[member.run_id], own)), strict=True):
            assert np.count_nonzero(wide) == np.count_nonzero(part)
    alone = drawn_of(wide_pack_of([grid(base, net=[net], initializer=["he_normal"])[0] for net in sizes]), compiled)[0]
    for run_id, one in alone.items():
        jax.tree.map(np.testing.assert_array_equal, one, params[run_id])


@pytest.mark.parametrize("label", ["net mlp", "net lstm", "net cnn", "net vae", "task impute", "all regularizers"])
def test_planning_knows_the_shapes_of_lanes(label):
    run, _ = lowering.cases()[label]
    plan = make_plan([run], Options(devices=1))
    (pack,) = make_packs(plan.planned, {member.signature: 2 for member in plan.planned}, 1, 1)
    known, traced = LaneShapes(plan.datasets, plan.variables), LaneShapes(plan.datasets)
    assert pack.signature in plan.variables
    assert known.lanes(pack, numbers_of(pack)) == traced.lanes(pack, numbers_of(pack))


def test_only_a_deep_net_of_one_width_is_repetitive():
    sizes = {(): False, (64, 64): False, (64,) * 3: False, (64,) * 10: True, (64, 48, 32, 24, 16): False}
    for widths, expected in sizes.items():
        pack = pack_of([dataclasses.replace(BASE, net=MLP(widths=widths))])
        assert is_repetitive(LaneShapes(DATASETS).variables(pack, numbers_of(pack))) is expected


@pytest.mark.parametrize("initializer", ["he_normal", "orthogonal", "sparse"])
def test_variables_are_equal_with_and_without_fusion_emitters_and_in_any_number_of_parts(initializer):
    """So a net's initial variables do not depend on how its program is compiled."""
    pack = pack_of([dataclasses.replace(BASE, net=MLP(widths=(6, 5)), initializer=initializer)])
    setup = dataclasses.replace(pack.setup, run=initializing(pack.members[0].run))
    numbers = initialization.initial_numbers(runs.numbers(pack.members[0].run))

    def draw(numbers):
        return initialization.initial_variables(
            setup, runs.with_numbers(setup.run, numbers), LaneShapes(DATASETS).examples(pack)
        )

    place = Place((jax.devices()[0],), "local")
    lowered, drawn = jax.jit(draw).lower(numbers), []
    for repetitive in (False, True):
        options = xla_flags.known_options(place.devices[0], cheap_to_compile(place, repetitive))
        if "xla_cpu_use_fusion_emitters" not in options:
            pytest.skip("this version of XLA has no choice of emitters")
        drawn.append(lowered.compile(options)(numbers))
    drawn.append(lowered.compile({**options, "xla_cpu_parallel_codegen_split_count": 32})(numbers))  # XLA's own
    for one, *others in zip(*map(jax.tree.leaves, drawn), strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)
