"""A user's functions are what they reach: constants, helpers and modules beside the experiment, edited between commands."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lanes
from lanes import RequestError, Run
from lanes.cli import train
from lanes.describe.experiment_files import runs_of
from lanes.describe.identity import run_id
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import Outcome, run_sweep
from lanes.program.compiled import Programs
from nets import MLP

PROGRAMS = Programs()
OPTIONS = {"devices": 1, "width": 1, "quiet": True, "programs": PROGRAMS}

EXPERIMENT = """
from pathlib import Path
import numpy as np
import steep
from lanes import Run, grid
from nets import MLP
from shapes.bending import bent

def points():
    x = np.loadtxt(Path(__file__).parent / "points.csv", delimiter=",")
    return x, (x[:, 0] > 0).astype(int)

def activation(z):
    return steep.SLOPE * bent(z)

def sweep():
    base = Run(data=points, net=MLP(widths=(3,)), activation=activation, epochs=1, batch_size=16)
    return grid(base, seed=range(2))
"""
BENDING = """
import jax.numpy as jnp

def bent(z):
    from shapes.late import SHIFT
    return jnp.where(z > 0, z, 0.1 * z) + SHIFT
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """An experiment that imports a file and a package beside it, and reads a table there."""
    folder = tmp_path / "mine"
    (folder / "shapes").mkdir(parents=True)
    (folder / "shapes" / "__init__.py").touch()
    (folder / "shapes" / "bending.py").write_text(BENDING)
    (folder / "shapes" / "late.py").write_text("SHIFT = 0.5\n")
    (folder / "steep.py").write_text("SLOPE = 2.0\nUNUSED = 1\n")
    np.savetxt(folder / "points.csv", np.random.default_rng(0).normal(size=(80, 2)), delimiter=",")
    (folder / "experiment.py").write_text(EXPERIMENT)
    return folder / "experiment.py"


def command(file: Path, out: Path) -> Outcome:
    """What `lanes sweep FILE --out OUT` does, with programs that are compiled once for all tests."""
    options = Options(**OPTIONS)
    return run_sweep(make_plan(runs_of(file), options), out, options, experiment=file)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def copies(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*.py")}


def test_an_experiment_and_its_neighbours_are_copied_and_found_by_every_command(experiment, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.chdir(experiment.parents[1])
    assert command(Path("mine/experiment.py"), out).trained == 2
    assert copies(out) == {"experiment.py", "steep.py", "shapes/__init__.py", "shapes/bending.py", "shapes/late.py"}
    assert not list(out.rglob("__pycache__"))
    monkeypatch.chdir("/")
    table = lanes.load(out)
    net, variables = lanes.restore(out, table["run_id"][0])
    assert net.activation()(-1.0) == pytest.approx(2.0 * 0.4)
    assert variables["params"]
    assert train.run(["--run", f"{out}:{table['run_id'][1]}", "--out", str(tmp_path / "again")]) == 0
    again = lanes.load(tmp_path / "again")
    assert again["run_id"][0] == table["run_id"][1]
    assert again["valid_loss"][0] == table["valid_loss"][1]
    assert copies(tmp_path / "again") == copies(out)
    lanes.restore(tmp_path / "again", again["run_id"][0])


def test_the_copies_serve_when_the_original_is_gone_if_the_data_are_there(experiment, tmp_path):
    out = tmp_path / "out"
    command(experiment, out)
    first = lanes.load(out)["run_id"][0]
    shutil.move(experiment.parent, tmp_path / "elsewhere")
    with pytest.raises((RequestError, FileNotFoundError), match=r"points\.csv"):
        lanes.restore(out, first)
    shutil.copy(tmp_path / "elsewhere" / "points.csv", out)
    net, _ = lanes.restore(out, first)
    assert net.activation()(1.0) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("name", "old", "new", "differs"),
    [
        ("steep.py", "SLOPE = 2.0", "SLOPE = 3.0", True),
        ("shapes/late.py", "0.5", "0.25", True),
        ("shapes/bending.py", "0.1 * z", "0.2 * z", True),
        ("experiment.py", "steep.SLOPE * bent(z)", "bent(z)", True),
        ("experiment.py", "points.csv", "other.csv", True),
        ("steep.py", "UNUSED = 1", "# A comment.\n\nUNUSED = 2", False),
        ("shapes/bending.py", "def bent(z):\n", 'def bent(z):\n    """Bend."""\n\n', False),
        ("shapes/__init__.py", "", "ALSO = 1\n", False),
    ],
)
def test_an_edit_makes_other_runs_if_it_changes_what_is_computed(experiment, name, old, new, differs):
    before = [run_id(run) for run in runs_of(experiment)]
    edit(experiment.parent / name, old, new)
    after = [run_id(run) for run in runs_of(experiment)]
    assert set(before).isdisjoint(after) if differs else before == after


def test_versions_lie_side_by_side_and_each_run_finds_its_own(experiment, tmp_path):
    out = tmp_path / "out"
    command(experiment, out)
    before = set(lanes.load(out)["run_id"])
    edit(experiment.parent / "steep.py", "UNUSED = 1", "UNUSED = 2")
    assert command(experiment, out).trained == 0
    edit(experiment.parent / "steep.py", "SLOPE = 2.0", "SLOPE = 3.0")
    assert command(experiment, out).trained == 2
    values = {each: float(lanes.restore(out, each)[0].activation()(-1.0)) for each in lanes.load(out)["run_id"]}
    assert {each: round(value / 0.4) for each, value in values.items()} == {
        each: 2 if each in before else 3 for each in values
    }


def test_a_copy_that_has_changed_is_refused_and_made_again(experiment, tmp_path):
    out = tmp_path / "out"
    command(experiment, out)
    first = lanes.load(out)["run_id"][0]
    edit(out / "steep.py", "2.0", "9.0")
    with pytest.raises(RequestError, match=r"steep\.py is not the copy that was made"):
        lanes.restore(out, first)
    command(experiment, out)
    assert "2.0" in (out / "steep.py").read_text()
    lanes.restore(out, first)


def test_modules_with_the_directorys_own_names_do_not_touch_it(experiment, tmp_path):
    folder, out = experiment.parent, tmp_path / "out"
    (folder / "results").mkdir()
    (folder / "results" / "late.py").write_text("SHIFT = 0.5\n")
    edit(folder / "shapes" / "bending.py", "shapes.late", "results.late")
    command(experiment, out)
    assert not list((out / "results").glob("*.py"))
    assert len(list(out.rglob("late.py"))) == 1
    lanes.restore(out, lanes.load(out)["run_id"][0])


def test_two_experiments_of_one_text_each_have_their_own_neighbours(experiment, tmp_path):
    shutil.copytree(experiment.parent, tmp_path / "yours")
    yours = tmp_path / "yours" / "experiment.py"
    edit(yours.parent / "steep.py", "2.0", "-1.0")
    first, second = runs_of(experiment)[0], runs_of(yours)[0]
    assert (float(first.activation(1.0)), float(second.activation(1.0))) == (3.0, -1.5)
    assert run_id(first) != run_id(second)


SLOPE = 0.1


def plain(z):
    """A user's activation that reads a constant."""
    return jnp.where(z > 0, z, SLOPE * z)


@jax.jit
def jitted(z):
    """The same behind a trace that JAX keeps."""
    return jnp.where(z > 0, z, SLOPE * z)


@jax.checkpoint
def rematerialized(z):
    """The same behind another one."""
    return jnp.where(z > 0, z, SLOPE * z)


SLOW = [pytest.param(function, marks=pytest.mark.slow) for function in (plain, jitted, rematerialized)]


@pytest.mark.parametrize("function", SLOW)
def test_a_constant_that_changes_in_a_notebook_is_another_run_and_another_program(function, tmp_path, monkeypatch):
    run = Run(data="blobs", net=MLP(widths=(4,)), activation=function, epochs=1, batch_size=128)
    found = []
    for at, slope in enumerate((0.1, -3.0, 0.1)):
        monkeypatch.setattr(f"{__name__}.SLOPE", slope)
        found.append(lanes.sweep([run], tmp_path / str(at), **OPTIONS).iloc[0])
    assert found[0]["run_id"] == found[2]["run_id"] != found[1]["run_id"]
    assert found[0]["valid_loss"] == found[2]["valid_loss"] != found[1]["valid_loss"]
    with pytest.raises(RequestError, match=r"something it reaches \(SLOPE.*has changed since the run was described"):
        lanes.restore(tmp_path / "1", found[1]["run_id"])


def test_a_data_function_may_keep_what_it_has_read(experiment, tmp_path):
    """In a dictionary, by `global`, or in an object: working state is no part of the version."""
    kept = """
CACHE, ROWS = {}, None

class Reader:
    def __init__(self):
        self.rows = None

    def read(self):
        if self.rows is None:
            self.rows = points()
        return self.rows

READER = Reader()

def cached():
    global ROWS
    if "all" not in CACHE:
        CACHE["all"] = READER.read()
    ROWS = CACHE["all"]
    return ROWS
"""
    edit(experiment, "\ndef sweep", kept + "\ndef sweep")
    edit(experiment, "data=points", "data=cached")
    out = tmp_path / "out"
    assert command(experiment, out).trained == 2
    for each in lanes.load(out)["run_id"]:
        lanes.restore(out, each)
