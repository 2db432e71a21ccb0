"""Results are tied to their data: a table that changes between two commands is noticed by every one of them."""

import dataclasses
import functools
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lanes
from lanes import Encoded, RequestError, Run, grid
from lanes.cli import evaluate, sweep, train
from lanes.data.loading import from_arrays
from lanes.engine import runner
from lanes.engine.options import Options
from lanes.engine.requests import Plan, check_data, make_plan
from lanes.plan.datasets import Datasets
from lanes.plan.widths import Choice
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate as lanes_evaluate
from lanes.results.groups import comparable_groups, difference
from lanes.storage import records
from lanes.storage.directory import Directory
from lanes.storage.provenance import Call
from nets import MLP

PROGRAMS = Programs()
OPTIONS = {"devices": 1, "width": 1, "quiet": True, "programs": PROGRAMS}

EXPERIMENT = """
from pathlib import Path
import pandas as pd
from lanes import Run, grid
from nets import MLP

def patients():
    frame = pd.read_csv(Path("{file}"))
    return frame[["a", "b"]].to_numpy(), frame["ill"].to_numpy()

BASE = Run(data=patients, net=MLP(widths=(4,)), epochs=1, batch_size=16)

def sweep():
    return grid(BASE, seed=range(2))
"""


def write(file: Path, change: str = "") -> None:
    """A table of 80 examples, changed in one way."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(80, 2)), columns=["a", "b"])
    frame["ill"] = (frame["a"] > 0).astype(int)
    if change == "one number":
        frame.loc[79, "b"] += 1e-3
    elif change == "one label":
        frame.loc[3, "ill"] = 1 - frame.loc[3, "ill"]
    elif change == "a row more":
        frame.loc[80] = [0.5, 0.5, 1]
    elif change == "another order":
        frame = frame.iloc[::-1]
    elif change == "a class more":
        frame.loc[0, "ill"] = 2
    elif change == "other units":
        frame["a"] *= 1000
    frame.to_csv(file, index=False)


def table():
    """A user's data function: the table named by the environment."""
    frame = pd.read_csv(os.environ["TABLE"])
    return frame[["a", "b"]].to_numpy(), frame["ill"].to_numpy()


def either(which):
    """The same with an argument."""
    del which
    return table()


def as_dataset():
    """The same as a Dataset."""
    return from_arrays(*table(), valid_fraction=0.2)


def as_mapped_files():
    """The same as memory-mapped files beside the table."""
    folder = Path(os.environ["TABLE"]).parent
    x, y = table()
    np.save(folder / "x.npy", x.astype(np.float32))
    return np.load(folder / "x.npy", mmap_mode="r"), y


RUN = Run(data=table, net=MLP(widths=(4,)), epochs=1, batch_size=16)
either_now = functools.partial(either, "of another year")
CHANGES = ["one number", "one label", "a row more", "another order", "a class more", "other units"]


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("TABLE", str(tmp_path / "table.csv"))
    write(tmp_path / "table.csv")
    return tmp_path / "table.csv"


def recorded(out: Path, plan: Plan) -> None:
    """Write down a plan in a directory, without training it."""
    directory = Directory(out)
    directory.create()
    choices = {one.signature: Choice(1, "given") for one in plan.planned}
    (pack,) = records.record(plan.planned, directory, choices, Call(plan.places))
    rows = [{"run_id": one.run_id, "status": "done", "valid_loss": 1.0, "test_loss": 1.0} for one in plan.planned]
    directory.write_part(directory.results, pack.pack_id, rows)


def made(tmp_path_factory, make):
    """A directory made by `make`, with the table as it is at first."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TABLE", str(folder / "table.csv"))
        write(folder / "table.csv")
        make(folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A directory with one run of the table, whose result is made up."""
    return made(tmp_path_factory, lambda out: recorded(out, make_plan([RUN], Options(devices=1))))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with one trained run of the table."""
    return made(tmp_path_factory, lambda out: lanes.sweep([RUN], out, **OPTIONS))


@pytest.fixture
def out(once, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(once, tmp_path / "out"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_command_refuses_a_table_that_has_changed(tmp_path, out, file, capsys):
    experiment = tmp_path / "experiment.py"
    experiment.write_text(f"import sys\n\ndef sweep():\n    return [sys.modules[{__name__!r}].RUN]\n")
    run_id, before = lanes.load(out)["run_id"][0], content(out)
    write(file, "one number")
    resume = [str(experiment), "--out", str(out)]
    commands = {
        "resume": (sweep, resume),
        "more seeds": (sweep, [*resume, "--seeds", "3"]),
        "fewer examples": (sweep, [*resume, "--set", "train_examples=20"]),
        "another fraction": (sweep, [*resume, "--set", "valid_fraction=0.5"]),
        "dry run": (sweep, [*resume, "--dry-run"]),
        "evaluate": (evaluate, [str(out)]),
        "evaluate on other data": (evaluate, [str(out), "--data", "moons"]),
        "repeat": (train, ["--run", f"{out}:{run_id}", "--out", str(tmp_path / "repeated")]),
    }
    for name, (command, words) in commands.items():
        assert command.run(words) == 2, name
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, name
        assert lines[0].startswith(f"error: data function table gives other arrays than {out} was trained on"), name
        assert "(fingerprint of t" in lines[0]
    assert content(out) == before
    assert not (tmp_path / "repeated").exists()
    write(file)
    assert sweep.run([*resume, "--dry-run"]) == 0


@pytest.mark.slow
def test_the_same_table_brought_back_is_accepted_by_every_command(tmp_path, file, capsys):
    experiment, out = tmp_path / "experiment.py", tmp_path / "out"
    experiment.write_text(EXPERIMENT.format(file=file))
    resume = [str(experiment), "--out", str(out), "--no-report"]
    assert sweep.run(resume) == 0
    write(file, "one number")
    assert sweep.run(resume) == 2
    write(file)
    assert sweep.run(resume) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert evaluate.run([str(out)]) == 0
    assert evaluate.run([str(out), "--data", "moons"]) == 0
    assert train.run(["--run", f"{out}:{lanes.load(out)['run_id'][0]}", "--out", str(tmp_path / "repeated")]) == 0


def test_an_unseeded_function_is_refused_before_anything_is_written(tmp_path, capsys):
    experiment = tmp_path / "experiment.py"
    drawn = 'return __import__("numpy").random.normal(size=(80, 2)), [0, 1] * 40'
    experiment.write_text(
        EXPERIMENT.replace("return frame", f"{drawn}\n    return frame").replace("pd.read_csv", "str")
    )
    for words in ([], ["--dry-run"]):
        assert sweep.run([str(experiment), "--out", str(tmp_path / "out"), *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "data function patients gives other arrays each time it is called" in line
        assert "np.random.default_rng(0)" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_table_is_refused(out, file, change):
    write(file, change)
    with pytest.raises(RequestError, match="data function table gives other arrays"):
        lanes.sweep(grid(RUN, seed=range(2)), out, **OPTIONS)
    assert len(lanes.load(out)) == 1


@pytest.mark.parametrize("data", [functools.partial(either, "a"), as_dataset, as_mapped_files], ids=["0", "1", "2"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_table_may_come_in_any_form(file, data, change):
    run = dataclasses.replace(RUN, data=data)
    before, again = Datasets().record(run), Datasets().record(run)
    write(file, change)
    now = Datasets().record(run)
    assert before == again
    assert now.id == before.id
    assert now.differs_from(before.id, before.fingerprint)


def test_python_refuses_what_the_commands_refuse(out, file):
    (run_id,) = lanes.load(out)["run_id"]
    write(file, "one label")
    for call in (
        lambda: lanes.train(RUN, out=out),
        lambda: lanes_evaluate(out, data=either_now),
        lambda: lanes_evaluate(out, run_ids=[run_id], split="train"),
    ):
        with pytest.raises(RequestError, match=f"data function table gives other arrays than {out}"):
            call()


@pytest.mark.slow
def test_weights_are_not_taken_from_runs_of_other_arrays(tmp_path, trained, file):
    (run_id,) = lanes.load(trained)["run_id"]
    tuned = dataclasses.replace(RUN, init_from=f"{trained}:{run_id}", seed=1)
    write(file, "one label")
    calls = {
        "restore": lambda: lanes.restore(trained, run_id),
        "fine-tuning": lambda: lanes.sweep([tuned], tmp_path / "tuned", **OPTIONS),
        "fine-tuning on fewer": lambda: lanes.train(dataclasses.replace(tuned, train_examples=20)),
        "codes": lambda: lanes.train(Run(data=Encoded(f"{trained}:{run_id}"), net="softmax_regression", epochs=1)),
    }
    for name, call in calls.items():
        with pytest.raises(RequestError, match=f"data function table gives other arrays than {trained}"):
            call()
        assert not (tmp_path / "tuned").exists(), name
    # Another description: fine-tuning on new data.
    plan = make_plan([dataclasses.replace(tuned, data=either_now)], Options(devices=1))
    assert plan.planned[0].run.init_from == tuned.init_from


@pytest.mark.slow
def test_new_data_under_a_description_of_their_own_join_the_directory(tmp_path, trained, file):
    out = Path(shutil.copytree(trained, tmp_path / "out"))
    write(file, "one label")
    table = lanes.sweep([dataclasses.replace(RUN, data=either_now)], out, **OPTIONS)
    assert table["data_id"].nunique() == table["data_fingerprint"].nunique() == 2
    evaluated = lanes_evaluate(out, run_ids=[table["run_id"][1]])
    assert evaluated["evaluated_loss"].to_numpy() == pytest.approx(table["test_loss"][1:].to_numpy())


@pytest.mark.parametrize("damaged", [("sweep.json", "runs.parquet"), ("runs.parquet", "runs.copy.parquet")])
def test_damaged_files_do_not_untie_the_data(out, file, damaged):
    for name in damaged:
        (out / name).write_bytes(b"{")
    write(file, "one number")
    with pytest.raises(RequestError, match="gives other arrays"):
        lanes.sweep([RUN], out, **OPTIONS)


def test_of_two_workers_that_begin_at_once_only_one_records_its_table(tmp_path, file, monkeypatch):
    monkeypatch.setattr(runner, "check_data", lambda *_: None)  # both have looked, neither has written
    first = make_plan([RUN], Options(devices=1))
    write(file, "one number")
    second = make_plan([RUN], Options(devices=1))
    recorded(tmp_path / "out", first)
    with pytest.raises(RequestError, match="gives other arrays"):
        runner.run_sweep(second, tmp_path / "out", Options(**OPTIONS))
    fingerprints = lanes.load(tmp_path / "out")["data_fingerprint"]
    assert fingerprints.tolist() == [first.planned[0].data.fingerprint]


def test_directories_of_other_arrays_are_not_ranked_together(tmp_path, out, file):
    same, other = tmp_path / "same", tmp_path / "other"
    recorded(same, make_plan([RUN], Options(devices=1)))
    write(file, "other units")
    recorded(other, make_plan([RUN], Options(devices=1)))
    assert lanes.load([out, same])["comparable"].nunique() == 1
    assert len(comparable_groups(lanes.load([out, same]))) == 1
    groups = comparable_groups(lanes.load([out, same, other]))
    assert [group.runs["dir"].tolist() for group in groups] == [[str(out), str(same)], [str(other)]]
    assert difference(lanes.load([out, other]), groups) == "data"
    assert lanes.load(other)["comparable"].tolist() == lanes.load(out)["comparable"].tolist()


def test_the_same_numbers_in_another_table_are_accepted(out, file):
    frame = pd.read_csv(file).assign(note="new")
    frame["ill"] = frame["ill"].map({1: "1.0", 0: "0"}).astype(float).astype(int)
    frame[["note", "b", "ill", "a"]].to_csv(file, index=False)
    check_data(make_plan(grid(RUN, seed=range(2)), Options(devices=1)), Directory(out))
