"""What a sweep needs first: which programs, in which order they are traced, and what is refused before anything is written."""

import pytest

from lanes import Halving, Run, grid
from lanes.engine import first_programs
from lanes.engine.options import Options
from lanes.engine.pack_programs import PackPrograms
from lanes.engine.requests import make_plan
from lanes.engine.resident_epochs import training_key
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus, RequestError
from lanes.program.compiled import Compiled
from lanes.storage.directory import Directory
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(5,)), batch_size=32, epochs=2, train_examples=64)
SWEEP = grid(BASE, initializer=["he_normal", "orthogonal"], seed=range(3))


def unscaled(outputs, targets):
    """A loss whose shape is wrong, which only tracing a train step tells."""
    return (outputs - targets.sum() * outputs.sum(axis=-1)[..., None, None]).sum(axis=0)


def traced_by(sweep, monkeypatch, cores=2, is_fresh=True, fails=()):
    """Kinds of programs, in the order in which the waiting thread saw them traced; and those compiled in the end."""
    plan, seen, options = make_plan(sweep, Options(devices=2)), [], Options(devices=2)
    compiled = Compiled()
    monkeypatch.setattr(first_programs, "cores", lambda: cores)
    for kind in ("draw", "train"):
        whole = getattr(PackPrograms, kind)

        def compile_(self, pack, traced, kind=kind, whole=whole):
            if kind in fails:
                raise ValueError("too large")
            whole(self, pack, lambda: (seen.append(kind), traced()))

        monkeypatch.setattr(PackPrograms, kind, compile_)
    packs = first_programs.foreseen(plan, Directory("nowhere"), options, None)
    first_programs.begin(plan, options, compiled, packs, is_fresh)
    pack = packs[0]
    at_return = list(dict.fromkeys(seen))
    if "train" not in fails:
        one = compiled.get(training_key(pack), plan.places[0], None, 0, ())  # waits for it
        assert one is not None
    return at_return, compiled, pack


def test_two_cores_trace_what_draws_before_what_trains_and_more_leave_it_to_the_place(monkeypatch):
    assert traced_by(SWEEP, monkeypatch)[0] == ["draw", "train"]


@pytest.mark.parametrize("about", [{"cores": 3}, {"is_fresh": False}], ids=str)
def test_what_draws_is_left_out_on_more_cores_and_for_a_pack_that_goes_on(about, monkeypatch):
    assert traced_by(SWEEP, monkeypatch, **about)[0] == ["train"]


@pytest.mark.parametrize("fails", [("draw",), ("train",), ("draw", "train")], ids=str)
def test_what_cannot_be_traced_holds_nobody_up(fails, monkeypatch):
    assert traced_by(SWEEP, monkeypatch, fails=fails)[0] == [kind for kind in ("draw", "train") if kind not in fails]


def test_a_program_that_is_begun_is_not_begun_again(monkeypatch):
    _, compiled, pack = traced_by(SWEEP, monkeypatch)
    monkeypatch.setattr(first_programs, "_begin", None)
    first_programs.begin(make_plan(SWEEP, Options(devices=2)), Options(devices=2), compiled, [pack], True)


@pytest.mark.parametrize("fields", [{}, {"width": 2}, {"halving": Halving(rungs=(1,), keep=0.5)}], ids=str)
def test_the_packs_of_a_new_sweep_are_foreseen(fields, tmp_path):
    taken = []
    runs = [*SWEEP, *grid(BASE, epochs=[3], net=[MLP(widths=(7, 6))], seed=range(3))]
    options = Options(devices=1, quiet=True, after_chunk=lambda pack, _: taken.append(pack.pack_id), **fields)
    plan = make_plan(runs, options)
    foreseen = first_programs.foreseen(plan, Directory(tmp_path / "out"), options, options.halving)
    assert run_sweep(plan, tmp_path / "out", options).status == ExitStatus.DONE
    assert {pack.pack_id for pack in foreseen} == set(taken)
    assert taken[0] == foreseen[0].pack_id


def test_no_pack_is_foreseen_where_others_take_packs_or_the_directory_has_runs(tmp_path):
    options = Options(devices=1, quiet=True)
    plan, new = make_plan(SWEEP[:1], options), Directory(tmp_path / "new")
    assert len(first_programs.foreseen(plan, new, options, None)) == 1
    assert first_programs.foreseen(plan, new, Options(shard=(0, 2)), None) == []
    run_sweep(plan, tmp_path / "out", options)
    assert first_programs.foreseen(plan, Directory(tmp_path / "out"), options, None) == []


def test_no_pack_is_foreseen_where_a_width_is_to_be_measured(tmp_path):
    long = grid(BASE, net=[MLP(widths=(512, 512))], epochs=[3000], train_examples=[1200], seed=range(16))
    plan = make_plan(long, Options(devices=1))
    assert first_programs.foreseen(plan, Directory(tmp_path / "new"), Options(devices=1), None) == []


def test_a_plan_that_is_checked_later_refuses_what_one_that_is_checked_at_once_does(tmp_path):
    wrong = grid(BASE, loss=[unscaled])
    with pytest.raises(RequestError) as at_once:
        make_plan(wrong, Options(devices=1))
    plan = make_plan(wrong, Options(devices=1), checked=False)
    with pytest.raises(RequestError) as later:
        run_sweep(plan, tmp_path / "out", Options(devices=1, quiet=True))
    assert str(later.value) == str(at_once.value)
    assert not (tmp_path / "out").exists()


def test_a_plan_is_checked_once():
    plan = make_plan(SWEEP, Options(devices=1), checked=False)
    assert plan.unchecked is not None
    checked = plan.checked()
    assert checked.unchecked is None
    assert checked.checked() is checked
    assert checked.tracing_seconds > plan.tracing_seconds
