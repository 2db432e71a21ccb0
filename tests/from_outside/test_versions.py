"""A user edits the experiment between two commands: versions never share a row, and what is no longer asked for stays apart."""

import dataclasses
import io

import pytest
from rich.console import Console

import lanes
from lanes import Blobs, RequestError, Run
from lanes.cli import evaluate, report, sweep
from lanes.describe import settings
from lanes.describe.experiment_files import runs_of
from lanes.engine.asking import asking_of, with_changes
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus
from lanes.plan.widths import choose_widths
from lanes.program.compiled import Programs
from lanes.reporting.pages import write_report
from lanes.results.leaderboard import leaderboard, ranking
from lanes.results.printed_leaderboard import print_leaderboard
from lanes.results.selection import select_runs
from lanes.storage.directory import Directory, existing
from lanes.storage.provenance import Call
from lanes.storage.records import record
from nets import MLP

PROGRAMS = Programs()
OPTIONS = Options(devices=1, width=1, pack_lanes=1, quiet=True, programs=PROGRAMS)
FILE = """
from lanes import Blobs, Run, grid
from nets import MLP

BASE = Run(data=Blobs(n=40), net=MLP(widths=(2,)), batch_size=16, epochs={epochs})

def sweep():
    return grid(BASE, learning_rate={rates}, seed=range({seeds}))
"""


def write(path, rates=(0.1, 0.2), seeds=2, epochs=1, more=""):
    path.parent.mkdir(exist_ok=True)
    path.write_text(FILE.format(rates=list(rates), seeds=seeds, epochs=epochs) + more)
    return path


def command(file, out, *, set_=(), seeds=None, only=(), options=OPTIONS):
    """What `lanes sweep FILE --out DIR` does, with programs shared among the tests."""
    whole = runs_of(file)
    plan = make_plan(settings.only(with_changes(whole, set_, seeds), only), options)
    return run_sweep(plan, out, options, experiment=file, asking=asking_of(file, whole, set_, seeds, plan))


def recorded(file, out, *, set_=(), seeds=None, only=()):
    """The same, but for the training."""
    whole = runs_of(file)
    plan = make_plan(settings.only(with_changes(whole, set_, seeds), only), OPTIONS)
    call = Call(plan.places, (), file, asking_of(file, whole, set_, seeds, plan))
    record_plan(plan, out, call)


def record_plan(plan, out, call):
    directory = Directory(out)
    directory.create()
    choices = choose_widths(plan.planned, plan.shapes, plan.places, requested=1)
    record(plan.planned, directory, choices, call)


def earlier(out):
    """Learning rates and seeds of the runs of earlier versions."""
    table = lanes.load(out)
    left = table[table["earlier_version_of"].notna()]
    return {(float(rate), int(seed)) for rate, seed in zip(left["learning_rate"], left["seed"])}


def selected(out, run_ids=(), best=None, where=()):
    """The runs that `lanes evaluate` evaluates."""
    (opened,) = existing([out])
    return select_runs(opened, lanes.load(out), tuple(run_ids), best, tuple(where), None)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "mine.py")


@pytest.mark.slow
def test_runs_of_a_value_that_was_taken_out_stay_apart_everywhere(file, out):
    command(file, out)
    write(file, rates=(0.2, 0.3))
    outcome = command(file, out)
    assert (outcome.trained, outcome.left) == (2, ())  # they have ended: nothing is left to go on with
    assert earlier(out) == {(0.1, 0), (0.1, 1)}

    table = lanes.load(out)
    assert len(table) == 6
    board = leaderboard(table)
    assert sorted(board.table["learning_rate"]) == ["0.2", "0.3"]
    text = io.StringIO()
    print_leaderboard(ranking(table), console=Console(file=text, width=200))
    assert "2 runs of an earlier version of mine.py are left out" in text.getvalue()
    page = write_report([out]).read_text()
    assert "2 runs of an earlier version of mine.py are left out" in page
    assert f"Runs of the best: {', '.join(board.runs.loc[board.runs['combination'] == 0, 'run_id'])}" in page

    assert set(selected(out)["learning_rate"]) == {0.2, 0.3}
    assert set(selected(out, best=9)["learning_rate"]) == {0.2, 0.3}
    assert set(selected(out, where=["earlier_version_of=mine.py"])["learning_rate"]) == {0.1}
    (one,) = table.loc[table["earlier_version_of"].notna(), "run_id"].iloc[:1]
    assert selected(out, run_ids=[one])["run_id"].tolist() == [one]
    with pytest.raises(RequestError, match=r"learning_rate=0\.1 matches no run"):
        selected(out, where=["learning_rate=0.1"])


def test_the_old_value_back_in_the_file_is_asked_for_again(file, out):
    recorded(file, out)
    write(file, rates=(0.2,))
    recorded(file, out)
    assert earlier(out) == {(0.1, 0), (0.1, 1)}
    write(file)
    recorded(file, out)
    assert earlier(out) == set()


def test_comments_more_seeds_fewer_seeds_and_only_leave_nothing_apart(file, out):
    recorded(file, out, seeds=3)
    write(file, more="\n# a comment\n")
    recorded(file, out)
    recorded(file, out, seeds=1)
    recorded(file, out, only=["learning_rate=0.1"])
    assert earlier(out) == set()
    write(file, rates=(0.1, 0.2, 0.3))
    recorded(file, out, only=["learning_rate=0.3"])
    assert earlier(out) == set()
    assert len(lanes.load(out)) == 8


def test_each_command_counts_with_its_own_settings(file, out):
    recorded(file, out, set_=["epochs=2"])
    recorded(file, out)
    assert earlier(out) == set()  # both are runs of this file
    write(file, rates=(0.1,))
    recorded(file, out)
    assert earlier(out) == {(0.2, 0), (0.2, 1)}
    assert len(lanes.load(out)) == 8


def test_a_seed_that_only_an_earlier_setting_asked_for_is_still_asked_for(file, out):
    recorded(file, out, seeds=3)
    write(file, rates=(0.1, 0.3))
    recorded(file, out)
    assert earlier(out) == {(0.2, 0), (0.2, 1), (0.2, 2)}


def test_two_files_in_one_directory_ask_for_their_own_runs(tmp_path, out):
    first, second = write(tmp_path / "a" / "mine.py", rates=(0.1,)), write(tmp_path / "b" / "mine.py", rates=(0.1, 0.2))
    recorded(first, out)
    recorded(second, out)
    assert earlier(out) == set()
    write(first, rates=(0.3,))
    recorded(first, out)
    assert earlier(out) == set()  # the second file still asks for 0.1
    write(second, rates=(0.3,))
    recorded(second, out)
    assert earlier(out) == {(rate, seed) for rate in (0.1, 0.2) for seed in range(2)}


def test_a_checkout_that_moved_is_the_same_file(tmp_path, out):
    file = write(tmp_path / "a" / "mine.py")
    recorded(file, out)
    file.unlink()
    recorded(write(tmp_path / "b" / "mine.py", rates=(0.1,)), out)
    assert earlier(out) == {(0.2, 0), (0.2, 1)}


def test_lists_of_runs_from_python_are_no_versions(file, out):
    base = Run(data=Blobs(n=40), net=MLP(widths=(2,)), batch_size=16, epochs=1)
    for rate in (0.1, 0.2):
        plan = make_plan([dataclasses.replace(base, learning_rate=rate)], OPTIONS)
        record_plan(plan, out, Call(plan.places))
    assert earlier(out) == set()
    recorded(file, out)
    write(file, rates=(0.3,))
    recorded(file, out)
    assert earlier(out) == {(0.1, 1), (0.2, 1)}  # Python asked for the seeds 0


def test_a_file_that_reads_its_environment_is_of_one_version(file, out, monkeypatch):
    text = FILE.format(rates="[float(os.environ['RATE'])]", seeds=1, epochs=1)
    file.write_text("import os\n" + text)
    for rate in ("0.1", "0.2"):
        monkeypatch.setenv("RATE", rate)
        (tmp := file.with_name(f"run_{rate}.py")).write_text(file.read_text() + f"# {rate}\n")
        tmp.replace(file)  # another comment, so that the file is read again
        recorded(file, out)
    assert earlier(out) == set()


STOPPING = dataclasses.replace(OPTIONS, chunk_steps=1, after_chunk=lambda pack, epoch: True)  # noqa: ARG005


@pytest.mark.slow
def test_unended_runs_are_named_left_and_go_on_from_the_directorys_own_copy(file, out):
    write(file, epochs=4)
    assert command(file, out, set_=["epochs=5"], options=STOPPING).status == ExitStatus.STOPPED
    write(file, rates=(0.3,), epochs=4)
    outcome = command(file, out)
    assert outcome.status == ExitStatus.DONE
    assert outcome.left == (
        f"4 unended runs of an earlier version of mine.py left as they are; go on with them by lanes sweep "
        f"{out}/experiment.py --out {out} --set epochs=5",
    )
    assert lanes.load(out)["status"].notna().sum() == 2
    assert command(out / "experiment.py", out, set_=["epochs=5"]).trained == 4
    table = lanes.load(out)
    assert table["status"].eq("done").all()
    assert earlier(out) == {(rate, seed) for rate in (0.1, 0.2) for seed in range(2)}
    assert command(file, out).left == ()


OWN = """
import jax.numpy as jnp
from lanes import Blobs, Run, grid
from nets import MLP

SLOPE = {slope}

def bent(z):
    return jnp.where(z > 0, z, SLOPE * z)

BASE = Run(data=Blobs(n=40), net=MLP(widths=(2,)), activation=bent, batch_size=16, epochs=1)

def sweep():
    return grid(BASE, seed=range(2))
"""


@pytest.mark.slow
def test_an_edited_constant_is_another_version_through_the_command(file, out, capsys):
    arguments = [str(file), "--out", str(out), "--devices", "1", "--width", "1"]
    file.write_text(OWN.format(slope=0.1))
    assert sweep.run(arguments) == 0
    file.write_text(OWN.format(slope=5.0))
    assert sweep.run(arguments) == 0
    shown = capsys.readouterr().out
    assert "2 runs of an earlier version of mine.py are left out" in shown
    table = lanes.load(out)
    assert table["activation.version"].nunique() == table["combination_id"].nunique() == 2
    assert len(leaderboard(table).table) == 1
    both = leaderboard(table.drop(columns="earlier_version_of"))
    assert both.table["runs"].tolist() == [2, 2]  # apart even where both are wanted
    for words, also in (
        ([sweep, *arguments], "nothing to do"),
        ([evaluate, str(out), "--best", "1"], "2 runs on blobs test"),
        ([evaluate, str(out), "--where", "earlier_version_of=mine.py"], "2 runs on blobs test"),
        ([report, str(out)], "Best 1 of 1 combinations"),
    ):
        assert words[0].run(words[1:]) == 0
        shown = capsys.readouterr().out
        assert also in shown
        assert ("2 runs of an earlier version of mine.py are left out" in shown) == ("--where" not in words)
