"""The choice of the width: bound, given, measured or default, and no more than fits into memory."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sweeps import OWN_ACTIVATION as BASE

import lanes
from lanes import Run, grid
from lanes.engine.options import Options
from lanes.engine.plan_summary import describe
from lanes.engine.requests import make_plan
from lanes.engine.trainer import Trainer
from lanes.errors import RequestError
from lanes.plan import width_timing, widths
from lanes.plan.widths import Choice
from lanes.program import memory
from lanes.program.compiled import Programs
from lanes.storage import records
from lanes.storage.directory import Directory
from nets import MLP

PROGRAMS = Programs()


def plan_of(sweep, **options):
    return make_plan(sweep, Options(**options))


def choose(plan, **options):
    (choice,) = widths.choose_widths(plan.planned, plan.shapes, plan.places, **options).values()
    return choice


@pytest.fixture(scope="module")
def forty():
    return plan_of(grid(BASE, seed=range(40)), devices=2)


# ---- precedence --------------------------------------------------------------------------------------------------


def test_bound_before_given_before_default(forty):
    (signature,) = forty.shapes
    assert choose(forty) == Choice(4, "default")
    assert choose(forty, requested=3) == Choice(3, "given")
    assert choose(forty, requested=3, bound={signature: 5}) == Choice(5, "bound")


def test_the_width_is_at_most_the_number_of_runs_computed_together():
    assert choose(plan_of(grid(BASE, seed=range(3)), devices=2)) == Choice(3, "default")
    shared = grid(dataclasses.replace(BASE, activation="relu"), activation=["relu", "tanh"], seed=range(3))
    assert choose(plan_of(shared, devices=2)) == Choice(3, "default")  # six runs, three of each activation
    assert choose(plan_of([BASE], devices=2), requested=4) == Choice(4, "given")


@pytest.mark.parametrize(
    ("runs", "programs", "width"),
    [(5, 2, 5), (6, 2, 3), (7, 2, 4), (9, 2, 3), (10, 2, 5), (40, 2, 4), (5, 1, 3), (9, 1, 3), (10, 1, 4)],
)
def test_few_lanes_are_empty(runs, programs, width):
    """5 runs in groups of 4 would be computed as 8; where there is one program only, two devices share them."""
    nets = [MLP(widths=(4,) * depth) for depth in range(1, programs + 1)]
    plan = plan_of(grid(BASE, net=nets, seed=range(runs)), devices=2)
    choices = widths.choose_widths(plan.planned, plan.shapes, plan.places).values()
    assert list(choices) == [Choice(width, "default")] * programs
    one = plan_of(grid(BASE, net=nets, seed=range(runs)), devices=1)
    assert list(widths.choose_widths(one.planned, one.shapes, one.places).values()) == list(choices)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.sampled_from([2, 4]),
    st.integers(1, 10**6),
    st.integers(1, 8),
)
def test_the_width_takes_no_longer_than_the_usual_one(sizes, usual, parameters, most):
    """By an independent count of lanes, empty ones included, and the table of relative times."""
    relative = next(found for limit, found in widths.RELATIVE if parameters <= limit)

    def total(width):
        groups = sum(len(range(0, size, width)) for size in sizes)
        return groups * width * relative[width]

    found = widths._with_fewer_empty(usual, parameters, sizes, most)
    assert 1 <= found <= most
    assert total(found) <= total(min(usual, most))
    assert all(total(found) <= total(other) / widths.FEWER for other in relative if other <= most)


@pytest.mark.parametrize(("units", "width"), [(250, 5), (270, 5), (1000, 1)])
def test_five_runs_of_larger_nets_have_no_empty_lanes(units, width):
    """64-units-10: one at a time where five exceed the cache."""
    nets = [MLP(widths=(units,)), MLP(widths=(units + 1,))]
    plan = plan_of(
        grid(dataclasses.replace(BASE, data="digits", activation="relu"), net=nets, seed=range(5)),
        devices=2,
        sharing="separate",
    )
    choices = widths.choose_widths(plan.planned, plan.shapes, plan.places).values()
    assert [choice.width for choice in choices] == [width, width]


def test_a_small_sweep_is_not_measured_and_a_large_one_is(forty, monkeypatch):
    measured = []

    def remembered(_one, _data, _places, default, candidates):
        measured.append((default, list(candidates)))
        return {1: 9.0, 4: 10.0, 16: 5.0}

    monkeypatch.setattr("lanes.plan.width_timing.remembered", remembered)
    data_of = lambda planned: forty.datasets.of(planned.run)  # noqa: E731
    assert choose(forty, data_of=data_of) == Choice(4, "default")
    assert not measured
    long = plan_of([dataclasses.replace(run, epochs=10**6) for run in grid(BASE, seed=range(40))], devices=2)
    assert choose(long, data_of=data_of) == Choice(16, "measured")
    assert choose(long) == Choice(4, "default")  # a dry run measures nothing
    assert measured == [(4, [1, 4, 16])]


def test_another_width_than_the_default_must_be_clearly_better():
    assert widths.best({1: 1.1, 8: 1.0, 24: 0.9}, [240], 8) == Choice(8, "measured")
    assert widths.best({1: 1.1, 8: 1.0, 24: 0.8}, [240], 8) == Choice(24, "measured")
    assert widths.best({1: 0.8, 8: 1.0}, [240], 8) == Choice(1, "measured")


def test_padding_counts_as_time():
    assert widths.best({8: 1.0, 24: 0.8}, [25], 8).width == 8  # 48 lanes for 25 runs
    assert widths.best({8: 1.0, 24: 0.8}, [24] * 9, 8).width == 24


def test_a_default_that_does_not_fit_is_not_chosen():
    assert widths.best({1: 2.0, 8: float("inf")}, [8], 8) == Choice(1, "measured")
    assert widths.best({8: float("inf")}, [8], 8) == Choice(8, "default")


def test_the_default_on_a_gpu_is_wide_for_small_nets_and_narrow_for_large_ones():
    small = plan_of([BASE], devices=1).planned[0]
    large = dataclasses.replace(BASE, net=MLP(widths=(2048, 2048)))
    assert widths.default_width(small, [(4, 4)], "gpu") == max(widths.GPU_WIDTHS)
    planned = plan_of([large], devices=1)
    assert widths.default_width(planned.planned[0], planned.shapes[planned.planned[0].signature], "gpu") == 16


def test_the_default_of_recurrent_nets_on_a_cpu_is_one():
    recurrent = Run(data="adding", net="lstm", loss="squared_error", epochs=1)
    assert choose(plan_of(grid(recurrent, seed=range(9)), devices=2)) == Choice(1, "default")


def test_step_flops_follow_the_multiply_adds(forty):
    planned = forty.planned[0]  # 2 · 4 + 4 · 3 multiply-adds
    assert width_timing.step_flops(planned, []) == 6 * 20 * 16


# ---- memory ------------------------------------------------------------------------------------------------------


def test_a_width_of_zero_is_an_error_of_one_line():
    with pytest.raises(RequestError, match=r"^--width is 0: it must be at least 1, or auto$"):
        plan_of([BASE], width=0)


def test_a_width_larger_than_memory_is_halved_with_a_warning(forty, monkeypatch):
    monkeypatch.setattr(memory, "most_lanes", lambda *_: 100)
    warnings = []
    assert choose(forty, requested=1000, warn=warnings.append) == Choice(63, "given")
    assert warnings == ["--width 1000 takes more memory than is free (about 100 lanes fit): 63 is used"]
    assert choose(forty, requested=100, warn=warnings.append) == Choice(100, "given")
    assert len(warnings) == 1


def test_packs_fit_into_memory(forty, monkeypatch):
    monkeypatch.setattr(memory, "most_lanes", lambda *_: 16)
    assert "packs of 12 lanes, width 4" in describe(forty, Options(devices=2))
    assert widths.most_lanes(forty.shapes, forty.places) == dict.fromkeys(forty.shapes, 16)


def test_fewer_lanes_of_a_larger_net_fit():
    here = plan_of([BASE], devices=1).places[0].devices[0]
    few, many = memory.most_lanes(10**8, here), memory.most_lanes(10**6, here)
    assert 1 <= few < many
    assert memory.most_lanes(10**8, here, sharers=2) <= few
    assert memory.most_lanes(10**15, here) == 1


@pytest.mark.parametrize("exhausted", [MemoryError("4 GB"), RuntimeError("RESOURCE_EXHAUSTED: Out of memory")])
def test_out_of_memory_halves_the_width_and_the_sweep_goes_on(tmp_path, monkeypatch, exhausted):
    """The results record the smaller width, a resume uses it, and the packs stay the same."""
    train, tried = Trainer.train, []

    def limited(self, pack):
        tried.append(pack.width)
        if pack.width > 2:
            raise exhausted
        train(self, pack)

    monkeypatch.setattr(Trainer, "train", limited)
    sweep = grid(BASE, seed=range(16))
    lanes.sweep(sweep, tmp_path, width=8, devices=1, quiet=True, programs=PROGRAMS)
    table = lanes.load(tmp_path)
    assert set(table["status"]) == {"done"}
    assert set(table["width"]) == {2}
    assert tried == [8, 4, 2]
    directory = Directory(tmp_path)
    assert set(records.narrowed(directory).values()) == {2}
    assert set(directory.read_sweep()["widths"].values()) == {8}
    for path in directory.results.glob("*"):
        path.unlink()
    tried.clear()
    before = table.set_index("run_id")["valid_loss"]
    lanes.sweep(sweep, tmp_path, devices=1, quiet=True, programs=PROGRAMS)
    assert tried == [2]
    assert lanes.load(tmp_path).set_index("run_id")["valid_loss"].equals(before)


@pytest.mark.slow
def test_a_pack_that_fits_at_no_width_fails_without_the_others(tmp_path, monkeypatch, capsys):
    train = Trainer.train

    def limited(self, pack):
        if pack.setup.run.net.widths == (4,):
            raise memory.NotEnoughMemoryError("9 MB are needed on cpu, 1 MB are free")
        train(self, pack)

    monkeypatch.setattr(Trainer, "train", limited)
    sweep = grid(BASE, {"net.widths": [(4,), (5,)]}, seed=range(2))
    lanes.sweep(sweep, tmp_path, devices=1, quiet=True, programs=PROGRAMS)
    assert sorted(lanes.load(tmp_path)["status"]) == ["done", "done", "failed", "failed"]
    assert "9 MB are needed on cpu, 1 MB are free" in capsys.readouterr().err


# ---- records -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_directory_records_how_its_widths_were_chosen(tmp_path):
    sweep = grid(BASE, seed=range(4))
    lanes.sweep(sweep, tmp_path, width=2, devices=1, quiet=True, programs=PROGRAMS)
    content = Directory(tmp_path).read_sweep()
    assert list(content["widths"].values()) == [2]
    assert list(content["chosen"].values()) == ["given"]
    lanes.sweep(grid(BASE, seed=range(6)), tmp_path, devices=1, quiet=True, programs=PROGRAMS)
    content = Directory(tmp_path).read_sweep()
    assert (list(content["widths"].values()), list(content["chosen"].values())) == ([2], ["given"])
    assert set(lanes.load(tmp_path)["width"]) == {2}
