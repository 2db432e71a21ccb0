"""Experiment files whose runs differ in regularizers and activations: how many programs, and that results do not notice."""

import dataclasses
import functools
import shutil
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import Run, grid
from lanes.cli import train
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.plan import sharing as plan_sharing
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate
from lanes.storage.directory import Directory
from nets import MLP
from nets.activations import LeakyReLU

PROGRAMS = Programs()
FILE = """
from lanes import Blobs, Run, grid
from nets import MLP

BASE = Run(data=Blobs(n=120, classes=3, distance=1.5), net=MLP(widths=(6,)), batch_size=16, epochs=3, learning_rate=0.05)


def sweep():
    return [run for extra in EXTRA for run in grid(BASE, seed=range(2), **extra)]
"""
FEW = '\nEXTRA = ({}, {"l2": [1e-3]}, {"dropout": [0.2]})\n'
MORE = '\nEXTRA = ({}, {"l2": [1e-3]}, {"dropout": [0.2]}, {"l2": [1e-2], "dropout": [0.5]}, {"clip": [0.1]})\n'
BASE = Run(data=OVERLAPPING, net=MLP(widths=(6,)), batch_size=16, epochs=3, learning_rate=0.05)
SOME = [run for extra in ({}, {"l2": [1e-3]}, {"dropout": [0.2]}) for run in grid(BASE, seed=range(2), **extra)]
MANY = [dataclasses.replace(run, activation=name) for run in SOME for name in ("relu", "tanh")]
OPTIONS = {"width": 2, "devices": 1, "quiet": True, "programs": PROGRAMS}


def signatures(runs, **options) -> int:
    return len({member.signature for member in make_plan(runs, Options(devices=1, **options)).planned})


def tables(out: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The program of each run, and the curves."""
    return lanes.load(out).set_index("run_id")["program"], lanes.load_curves(out).set_index(
        ["run_id", "epoch"]
    ).sort_index()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shared") / "out"
    lanes.sweep(SOME, out, sharing="shared", **OPTIONS)
    return out


def test_the_dry_run_says_what_was_chosen_in_one_line(tmp_path, call):
    file = tmp_path / "file.py"
    file.write_text(FILE + FEW)
    said = {
        way: call(file, "--out", tmp_path / "out", "--dry-run", "--programs", way)[1] for way in ("auto", "separate")
    }
    assert "by 1 training programs" in said["auto"]
    assert "1 training programs in place of 3 (--programs separate): sharing saves about " in said["auto"]
    assert "by 3 training programs" in said["separate"]
    assert "3 training programs that could be 1 (--programs shared): sharing saves about " in said["separate"]
    status, _, error = call(file, "--out", tmp_path / "out", "--programs", "some")
    assert (status, error.strip().splitlines()[-1]) == (
        2,
        "error: --programs is 'some': it must be one of auto, shared, separate",
    )
    assert not (tmp_path / "out").exists()


def test_a_shared_program_trains_what_separate_ones_do(shared, tmp_path):
    lanes.sweep(SOME, tmp_path, sharing="separate", **OPTIONS)
    for path in Directory(tmp_path).results.glob("*"):
        path.unlink()
    shutil.rmtree(tmp_path / "checkpoints")
    lanes.sweep(SOME, tmp_path, sharing="auto", **OPTIONS)  # trained again by their own programs, which are recorded
    (programs, curves), (own, separate) = tables(shared), tables(tmp_path)
    assert set(programs) == {"l2 dropout"}
    assert set(own) == {"separate"}
    for name in ("batch_loss", "valid_loss", "penalty"):
        np.testing.assert_allclose(curves[name], separate[name], rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def batched(tmp_path_factory) -> Path:
    """A directory as a sweep on an accelerator leaves it, of runs that differ in activation too."""
    out = tmp_path_factory.mktemp("batched") / "out"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("together", "choose"):
            original = getattr(plan_sharing, name)
            patch.setattr(plan_sharing, name, functools.partial(_as_on_an_accelerator, original))
        lanes.sweep(MANY, out, sharing="shared", **OPTIONS)
    return out


def _as_on_an_accelerator(original, *args, **options):
    return original(*(False if one is True else one for one in args), **options)


def test_a_batched_program_trains_what_separate_ones_do_and_is_kept_elsewhere(batched, tmp_path):
    """A directory from an accelerator is resumed and evaluated on a CPU by the program that it records."""
    lanes.sweep(MANY, tmp_path / "own", sharing="separate", **OPTIONS)
    (programs, curves), (_, separate) = tables(batched), tables(tmp_path / "own")
    assert set(programs) == {"batched l2 dropout activation=tanh,relu"}
    for name in ("batch_loss", "valid_loss", "penalty"):
        np.testing.assert_allclose(curves[name], separate[name], rtol=1e-5, atol=1e-7)
    out = tmp_path / "out"
    shutil.copytree(batched, out)
    results = lanes.load(out).set_index("run_id").sort_index()
    evaluated = evaluate(out, split="valid").set_index("run_id").sort_index()
    np.testing.assert_allclose(evaluated["evaluated_loss"], results["valid_loss"], rtol=1e-5)
    (out / "results").joinpath(sorted(path.name for path in (out / "results").iterdir())[0]).unlink()
    shutil.rmtree(out / "checkpoints")
    lanes.sweep(MANY, out, **OPTIONS)
    pd.testing.assert_frame_equal(tables(out)[1], curves, check_exact=True)
    assert set(tables(out)[0]) == set(programs)


def test_shards_with_a_shared_program_train_what_one_command_does(shared, tmp_path):
    out = tmp_path / "out"
    for index in range(2):
        lanes.sweep(SOME, out, sharing="shared", pack_lanes=2, shard=(index, 2), **OPTIONS)
    (programs, curves), (_, expected) = tables(out), tables(shared)
    assert programs.nunique() == 1
    pd.testing.assert_frame_equal(curves, expected, check_exact=True)


def test_halving_in_a_shared_program_changes_no_number_of_a_survivor(shared, tmp_path):
    out = tmp_path / "out"
    lanes.sweep(SOME, out, sharing="shared", pack_lanes=2, halving=lanes.Halving(rungs=(1,), keep=0.5), **OPTIONS)
    (programs, curves), (_, expected) = tables(out), tables(shared)
    assert programs.nunique() == 1
    assert len(curves) == 6 * 1 + 3 * 2  # six runs to the rung, half of them on from there
    pd.testing.assert_frame_equal(curves, expected.loc[curves.index], check_exact=True)
    first = expected.valid_loss.xs(1, level="epoch").sort_values()
    survivors = curves.index[curves.index.get_level_values("epoch") == 3].get_level_values("run_id")
    assert set(survivors) == set(first.index[:3])


@pytest.mark.parametrize("way", ["auto", "separate"])
def test_added_runs_join_a_recorded_program_or_bring_their_own(shared, tmp_path, way):
    """Whatever is asked for later, recorded runs keep their program, and so their numbers."""
    out = tmp_path / "out"
    shutil.copytree(shared, out)
    fits = dataclasses.replace(BASE, l2=1e-2, dropout=0.5, seed=7)
    other = dataclasses.replace(BASE, clip=0.1)
    table = lanes.sweep([*SOME, fits, other], out, sharing=way, **OPTIONS).set_index("run_id")
    assert table["program"].loc[lanes.identify(fits)] == "l2 dropout"
    alone = table["program"].loc[lanes.identify(other)]
    assert alone == ("separate" if way == "separate" else "l2 dropout clip")
    pd.testing.assert_frame_equal(
        tables(out)[1].loc[tables(shared)[0].index], tables(shared)[1].loc[tables(shared)[0].index]
    )


def test_a_resume_by_other_options_goes_on_with_the_recorded_program(shared, tmp_path):
    stops: list[int] = []

    def stop(_pack, epoch):
        stops.append(epoch)
        return True

    out = tmp_path / "out"
    lanes.sweep(SOME, out, sharing="shared", after_chunk=stop, chunk_seconds=0.0, **OPTIONS)
    assert stops
    assert not (set(lanes.load(out)["status"]) - {"done"}) or len(lanes.load(out)) == len(SOME)
    lanes.sweep(SOME, out, sharing="separate", **OPTIONS)
    programs, curves = tables(out)
    assert set(programs) == {"l2 dropout"}
    pd.testing.assert_frame_equal(curves, tables(shared)[1], check_exact=True)


def test_a_run_is_repeated_by_its_program(shared, tmp_path):
    run_id = lanes.load(shared).set_index("run_id").query("l2 == 0 and dropout == 0").index[0]
    assert train.run(["--run", f"{shared}:{run_id}", "--out", str(tmp_path)]) == 0
    programs, curves = tables(tmp_path)
    assert list(programs) == ["l2 dropout"]
    pd.testing.assert_frame_equal(curves, tables(shared)[1].loc[[run_id]], check_exact=True)


def test_a_recorded_program_that_does_not_exist_is_one_line(shared, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(shared, out)
    directory = Directory(out)
    directory.write_runs(directory.read_runs().assign(program="l2 activation=cube"))
    with pytest.raises(
        RequestError, match=r"^a run's program is 'l2 activation=cube', which this version does not know$"
    ):
        lanes.sweep(SOME, out, **OPTIONS)


def test_a_slope_beside_an_activation_without_one():
    """Both share a program, in which only one of them has a number."""
    runs = grid(BASE, activation=["relu", LeakyReLU(0.3), "tanh"])
    assert signatures(runs) == 1
    with pytest.raises(RequestError, match=r"init_scale is 3.0, and it scales nothing"):
        make_plan([*runs, dataclasses.replace(BASE, initializer="zeros", init_scale=3.0)], Options(devices=1))


def test_what_reaches_the_program_structurally_stays_apart():
    runs = [
        *grid(BASE, optimizer=["adam", "sgd"], l2=[0.0, 1e-3]),
        *grid(BASE, {"net.widths": [(7,)]}, dropout=[0.0, 0.1]),
        dataclasses.replace(BASE, loss="focal"),
    ]
    assert signatures(runs, sharing="shared") == 4
    assert signatures(runs, sharing="separate") == 7


def test_the_choice_weighs_compiling_against_training():
    """A second of training shares; hours of a large net do not."""
    few = grid(BASE, l2=[0.0, 1e-3])
    many = grid(dataclasses.replace(BASE, net=MLP(widths=(512, 512)), epochs=10**5), l2=[0.0, 1e-3], seed=range(20))
    assert signatures(few) == 1
    assert signatures(many) == 2
    assert signatures(many, sharing="shared") == 1


def test_a_neutral_field_is_not_a_setting_without_effect():
    """Each run is judged by its own settings, though one program is traced for all."""
    linear = MLP(widths=())
    assert signatures([dataclasses.replace(BASE, net=linear), dataclasses.replace(BASE, net=linear, l2=1e-3)]) == 1
    with pytest.raises(RequestError, match=r"dropout is 0.1, and net MLP never uses its field dropout"):
        make_plan(
            [dataclasses.replace(BASE, net=linear, l2=1e-3), dataclasses.replace(BASE, net=linear, dropout=0.1)],
            Options(devices=1),
        )


COCKTAIL = {
    "l1": [0.0, 1e-4],
    "weight_decay": [0.0, 1e-2],
    "dropout": [0.0, 0.3],
    "input_noise": [0.0, 0.5],
    "label_smoothing": [0.0, 0.1],
    "clip": [None, 0.5],
    "patience": [None, 2],
}


def cocktail(count: int, seed: int) -> list[Run]:
    """Runs with each regularizer on or off, drawn independently."""
    random = np.random.default_rng(seed)
    return [
        dataclasses.replace(
            BASE, seed=at, **{name: values[int(random.integers(2))] for name, values in COCKTAIL.items()}
        )
        for at in range(count)
    ]


def test_a_cocktail_of_regularizers_is_one_program():
    runs = cocktail(64, seed=0)
    assert signatures(runs, sharing="separate") > 40
    assert signatures(runs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_drawn_sets_of_regularizers_against_programs_of_their_own(tmp_path, seed):
    runs = cocktail(6, seed)
    lanes.sweep(runs, tmp_path / "shared", sharing="shared", **OPTIONS)
    lanes.sweep(runs, tmp_path / "separate", sharing="separate", **OPTIONS)
    (_, curves), (_, separate) = tables(tmp_path / "shared"), tables(tmp_path / "separate")
    assert len(curves) == len(separate)
    for name in ("batch_loss", "valid_loss", "penalty"):
        np.testing.assert_allclose(curves[name], separate[name], rtol=2e-5, atol=1e-6)


@pytest.mark.slow
def test_a_cocktail_trains_as_fast_as_by_programs_of_its_own(tmp_path, optimized_programs):
    """Processor time of the calls of compiled training programs, least of three passes; separate programs have few lanes each."""
    base = dataclasses.replace(BASE, net=MLP(widths=(64, 64)), epochs=40)
    runs = [dataclasses.replace(run, net=base.net, epochs=base.epochs) for run in cocktail(12, seed=5)]
    programs, spent = optimized_programs(), []
    compiled = programs.get

    def timed(key, *arguments, **options):
        ready = compiled(key, *arguments, **options)

        def call(*args):
            began = time.process_time()
            out = jax.block_until_ready(ready(*args))
            spent.append(time.process_time() - began)
            return out

        return call if key[0] == "train" else ready

    programs.get = timed
    seconds: dict[str, list[float]] = {"shared": [], "separate": []}
    options = {"devices": 1, "quiet": True, "programs": programs}
    for number in range(4):
        for way in seconds:
            spent.clear()
            lanes.sweep(runs, tmp_path / f"{way}{number}", sharing=way, **options)
            seconds[way].append(sum(spent))
    assert min(seconds["shared"][1:]) <= 1.15 * min(seconds["separate"][1:])
