"""Plans: each run exactly once, packs of equal size, groups that share an activation, and the same plan every time."""

import dataclasses
import itertools
import random

import pytest

from lanes import Run, grid
from lanes.data.generated_sets import Blobs
from lanes.describe import checks, runs
from lanes.plan.datasets import Datasets
from lanes.plan.families import Families
from lanes.plan.packs import MOST_LANES, longest_first, make_packs
from lanes.plan.planned import plan_runs
from lanes.plan.sharing import together
from lanes.plan.widths import cpu_width
from lanes.program.shared_activation import BRANCHES, branch_of, shared
from nets import MLP
from nets.activations import ACTIVATIONS, ELU, LeakyReLU, PReLU
from nets.initializers import Uniform

BASE = Run(data=Blobs(n=120), net=MLP(widths=(4,)), batch_size=8, epochs=2)
DATASETS = Datasets()


def planned(sweep, share=True, on_cpu=True):
    """The runs, in one program for each family (`share`), or in programs that differ in everything but numbers."""
    checked = [checks.resolved(run) for run in sweep]
    separate = plan_runs([checks.check_with_data(run, DATASETS.of(run)) for run in checked], DATASETS)
    return together(separate, on_cpu) if share else separate


def packs_of(sweep, width=4, workers=1, shards=1, share=True):
    listed = planned(sweep, share)
    return listed, make_packs(listed, {member.signature: width for member in listed}, workers, shards)


MIXED = (
    grid(BASE, activation=["relu", "tanh", ELU(alpha=0.5)], learning_rate=[1e-3, 1e-2], seed=range(5))
    + grid(BASE, l2=[1e-3], seed=range(3))
    + grid(BASE, dropout=[0.1], epochs=[3], seed=range(70))
)


def test_an_accelerators_groups_hold_any_activations():
    sweep = grid(BASE, activation=["relu", "tanh", ELU(alpha=0.5)], dropout=[0.0, 0.1], learning_rate=[1e-3, 1e-2])
    listed = planned(sweep, on_cpu=False)
    assert {member.sharing.text for member in listed} == {"batched dropout activation=tanh,relu,elu"}
    (pack,) = make_packs(listed, {listed[0].signature: 12}, 1, 1)
    assert (pack.width, pack.size, pack.members.count(None)) == (12, 12, 0)
    by_conditions = planned(sweep)
    assert {member.sharing.batched for member in by_conditions} == {False}
    assert {member.signature for member in listed}.isdisjoint(member.signature for member in by_conditions)
    plain = planned(grid(BASE, l2=[0.0, 1e-3]), on_cpu=False)  # costs nothing, and so needs no choice
    assert {member.sharing.text for member in plain} == {"l2"}


def test_dealt_packs_share_what_follows_one_another():
    sweep = grid(BASE, learning_rate=[1e-3, 1e-2, 1e-1, 1.0], seed=range(16))
    listed = planned(sweep)
    widths = {one.signature: 4 for one in listed}
    together, dealt = (make_packs(listed, widths, 4, 1, dealt=dealt) for dealt in (False, True))
    rates = [{member.run.learning_rate for member in pack.members} for pack in together]
    assert sorted(map(len, rates)) == [1, 1, 1, 1]
    assert all(len({member.run.learning_rate for member in pack.members}) == 4 for pack in dealt)
    shapes = [{(pack.width, pack.size) for pack in packs} for packs in (together, dealt)]
    assert shapes[0] == shapes[1]
    assert sorted(m.run_id for p in dealt for m in p.members) == sorted(one.run_id for one in listed)


@pytest.mark.parametrize(("width", "workers", "shards"), [*itertools.product([1, 3, 8], [1, 2, 8], [1, 2])])
def test_packs_contain_each_run_once_and_have_one_size(width, workers, shards):
    listed, packs = packs_of(MIXED, width, workers, shards)
    assert sorted(m.run_id for p in packs for m in p.members) == sorted(member.run_id for member in listed)
    sizes = {}
    for pack in packs:
        assert pack.size % (width * shards) == 0
        assert pack.size <= max(MOST_LANES, width * shards)
        assert len({member.signature for member in pack.members}) == 1
        assert len({member.run.seed for member in pack.members}) <= pack.seeds
        assert [pack.lanes[at] for at in pack.places] == list(pack.members)
        sizes.setdefault(pack.signature, set()).add(pack.size)
    assert all(len(found) == 1 for found in sizes.values())  # one program per signature


@pytest.mark.parametrize("width", [1, 4])
def test_lanes_computed_together_share_the_index_of_their_activation(width):
    _, packs = packs_of(MIXED, width)
    for pack in packs:
        for at in range(0, pack.size, width):
            group = [lane for lane in pack.lanes[at : at + width] if lane is not None]
            assert len({lane.run.activation for lane in group}) <= 1


def test_long_packs_are_trained_first_and_those_of_a_program_and_of_a_data_set_together():
    sweep = [
        run
        for data in (Blobs(n=120), Blobs(n=160))
        for size, epochs in ((2, 1), (64, 1), (2, 9), (8, 1))
        for run in grid(BASE, data=[data], net=[MLP(widths=(size,))], epochs=[epochs], seed=range(6))
    ]
    _, packs = packs_of(sweep, width=4, workers=2, share=False)

    asked = []

    def step_seconds(pack):
        asked.append(pack.signature)
        return pack.members[0].run.net.widths[0]

    def seconds(pack):
        return pack.size * pack.epochs * pack.setup.steps_per_epoch * pack.members[0].run.net.widths[0]

    def data(pack):
        return pack.members[0].run.data

    ordered = longest_first(packs[::-1], step_seconds, data)
    assert len(asked) == len(set(asked))  # counting operations may trace the net
    assert sorted(pack.pack_id for pack in ordered) == sorted(pack.pack_id for pack in packs)
    assert [key for key, _ in itertools.groupby(ordered, data)] == [Blobs(n=160), Blobs(n=120)]
    programs = [key for key, _ in itertools.groupby(ordered, lambda pack: pack.signature)]
    assert len(programs) == len(set(programs))
    for _, alike in itertools.groupby(ordered, data):
        longest = [max(map(seconds, same)) for _, same in itertools.groupby(alike, lambda pack: pack.signature)]
        assert longest == sorted(longest, reverse=True)


def test_every_place_gets_a_pack():
    for workers in (1, 2, 4):
        _, packs = packs_of(grid(BASE, seed=range(32)), width=4, workers=workers)
        assert len(packs) == workers
    _, packs = packs_of(grid(BASE, seed=range(3)), width=4, workers=8)
    assert len(packs) == 1  # three runs fit one group


def test_plans_are_deterministic_and_equal_runs_are_planned_once():
    first, second = packs_of(MIXED)[1], packs_of(MIXED)[1]
    assert [pack.pack_id for pack in first] == [pack.pack_id for pack in second]
    twice = planned(MIXED + MIXED)
    assert [member.run_id for member in twice] == [member.run_id for member in planned(MIXED)]
    shuffled = random.Random(0).sample(MIXED, len(MIXED))
    assert {member.run_id for member in planned(shuffled)} == {member.run_id for member in twice}


def test_pack_identity_is_members_and_width():
    packs = [packs_of(grid(BASE, seed=range(n)), width)[1][0].pack_id for n, width in ((4, 4), (3, 4), (4, 2), (4, 1))]
    assert len(set(packs)) == 4


def test_longer_runs_come_first_so_that_similar_lengths_end_together():
    _, packs = packs_of(grid(BASE, epochs=[1, 5, 3], seed=range(8)), width=4)
    lengths = [member.run.epochs for pack in packs for member in pack.members]
    assert lengths == sorted(lengths, reverse=True)


def test_initializers_seeds_and_numbers_share_a_program_and_static_fields_do_not():
    axes = {"initializer": ["he_normal", "zeros"], "learning_rate": [1e-3, 1e-2], "seed": [0, 1], "l2": [1e-3, 1e-2]}
    assert len({member.signature for member in planned(grid(BASE, **axes))}) == 1
    for field, values in {
        "batch_size": [8, 16],
        "optimizer": ["adam", "sgd"],
        "train_examples": [40, 80],
        "net": [MLP(widths=(4,)), MLP(widths=(5,))],
    }.items():
        assert len({member.signature for member in planned(grid(BASE, **{field: values}))}) == 2, field


def test_lanes_of_a_pack_have_equal_setups_without_the_numbers_of_any_lane():
    sources = [dataclasses.replace(run, init_from="elsewhere:ab") for run in grid(BASE, seed=range(3))]
    inits = grid(BASE, initializer=["zeros", Uniform(0.1), Uniform(0.2)], init_scale=[0.5, 1.0])
    _, packs = packs_of([*MIXED, *inits, *sources])
    for pack in packs:
        assert all(member.setup == pack.setup for member in pack.members)
        with pytest.raises(TypeError, match="learning_rate is traced"):
            float(pack.setup.run.learning_rate)
        with pytest.raises(TypeError, match="epochs is traced"):
            pack.setup.horizon(pack.setup.run)
    assert any(len({member.run.initializer for member in pack.members}) > 1 for pack in packs)


def test_runs_of_a_family_share_their_setup():
    families = Families(DATASETS)
    listed = [families.plan(run) for run in grid(BASE, learning_rate=[1e-3, 1e-2], l2=[1e-3, 1e-2], seed=range(3))]
    assert len({member.run_id for member in listed}) == 12
    assert len({id(member.setup) for member in listed}) == 1


def test_activations_share_a_program_if_the_table_has_them():
    listed = planned(grid(BASE, activation=["relu", "tanh", "mish", LeakyReLU(0.3), "leaky_relu"]))
    assert len({member.signature for member in listed}) == 1
    assert len({member.run_id for member in listed}) == 5
    assert len({member.signature for member in planned(grid(BASE, activation=["relu", "tanh"]), share=False)}) == 2
    # A learned slope belongs to the parameters, so it has no index.
    assert len({member.signature for member in planned(grid(BASE, activation=["relu", PReLU(), "maxout"]))}) == 3


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_shared_form_identifies_the_activation(name):
    run = runs.resolve(dataclasses.replace(BASE, activation=name))
    branch = branch_of(run.activation)
    if branch is None:
        assert name in ("prelu", "maxout", "softmax")
        return
    activation = shared(run.activation, tuple(BRANCHES))
    entry = list(BRANCHES.values())[int(activation.index)]
    assert type(entry) is type(run.activation)
    assert entry is run.activation or activation.parameter in dataclasses.astuple(run.activation)


def test_default_width_on_a_cpu_follows_the_kernels():
    assert cpu_width([(4, 8), (8,)]) == 4
    assert cpu_width([(127, 128), (128,)]) == 4
    assert cpu_width([(128, 128), (128,)]) == 2  # the states of four lanes do not fit the cache
    assert cpu_width([(3, 3, 1, 8), (8,)]) == 1
