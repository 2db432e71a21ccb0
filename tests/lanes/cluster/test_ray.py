"""Sweeps on a local Ray cluster of two nodes: the table of one machine, whatever is killed when."""

import signal
from pathlib import Path

import pytest
from ray_clusters import add_node, assert_equal, driver, ended, kill, parts, two_nodes, wait_for

import lanes
from lanes.cli import main
from lanes.storage import life
from lanes.storage.directory import Directory

pytest.importorskip("ray", reason="the extra `cluster` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")]

EXPERIMENT = """
from lanes import Blobs, Run, grid
from nets import MLP

BASE = Run(data=Blobs(n=120, classes=3, distance=1.5), net=MLP(widths=(8,)), optimizer="sgd", batch_size=16, epochs=EPOCHS)


def sweep():
    return grid(BASE, learning_rate=[1e-3, 1e-2, 0.1], seed=range(8))
"""
SMALL_PACKS = "from lanes.engine import portions; portions.PACKS_EACH = 6"  # 24 runs in 12 packs of two
LONG, SHORT = 1000, 4


def experiment(folder: Path, epochs: int) -> Path:
    file = folder / "experiment.py"
    file.write_text(EXPERIMENT.replace("EPOCHS", str(epochs)))
    return file


@pytest.fixture(scope="module")
def cluster():
    with two_nodes() as found:
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Directories of the same sweeps on one machine, by the number of epochs."""
    made = {}

    def directory(epochs: int) -> Path:
        if epochs not in made:
            folder = tmp_path_factory.mktemp(f"alone{epochs}")
            words = ["sweep", experiment(folder, epochs), "--out", folder / "out", "--width", 2, "--devices", 1]
            assert main.run([*map(str, words), "--no-report"]) == 0
            made[epochs] = folder / "out"
        return made[epochs]

    return directory


def words(folder: Path, epochs: int, *further: object) -> list[object]:
    common = ["--out", folder / "out", "--width", 2, "--cluster", "auto", "--no-report"]
    return ["sweep", experiment(folder, epochs), *common, *further]


@pytest.mark.parametrize("collect", [(), ("--collect",)], ids=["shared", "collect"])
def test_a_node_killed_in_the_middle_changes_nothing(cluster, alone, tmp_path, collect):
    add_node(cluster)
    process = driver(cluster, *words(tmp_path, LONG, *collect), before=SMALL_PACKS)
    wait_for(lambda: parts(tmp_path / "out") >= 3, process)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    status, out, err = ended(process)
    assert status == 0, err
    assert "24 of 24 runs ended" in out
    assert "is lost" in err
    assert len(lanes.load(tmp_path / "out")["pack"].unique()) == 12
    assert_equal(tmp_path / "out", alone(LONG))


@pytest.mark.parametrize("collect", [(), ("--collect",)], ids=["shared", "collect"])
def test_a_driver_that_was_killed_comes_back(cluster, alone, tmp_path, collect):
    add_node(cluster)
    call = words(tmp_path, LONG, *collect)
    process = driver(cluster, *call, before=SMALL_PACKS)
    wait_for(lambda: parts(tmp_path / "out") >= 3, process)
    kill(process)
    left = 12 - parts(tmp_path / "out")
    assert left > 2
    status, out, err = ended(driver(cluster, *call, before=SMALL_PACKS))
    assert status == 0, err
    assert "24 of 24 runs ended" in out
    assert_equal(tmp_path / "out", alone(LONG))
    assert f"{24 - 2 * (12 - left)} trained now" in out or not collect


FAILING = """
import sys
from lanes import Blobs, Run, grid
from nets import MLP

BASE = Run(data=Blobs(n=120, classes=3), net=MLP(widths=(8,)), batch_size=16, epochs=3)


def on_this_machine(x):
    if "default_worker" in sys.argv[0]:
        raise ValueError("no such instruction on this node")
    return x


def sweep():
    return grid(BASE, activation=["tanh", on_this_machine], seed=range(4))
"""


@pytest.mark.parametrize("collect", [(), ("--collect",)], ids=["shared", "collect"])
def test_runs_of_a_pack_that_raises_have_failed_and_the_others_end(cluster, tmp_path, collect):
    file = tmp_path / "failing.py"
    file.write_text(FAILING)
    call = ["sweep", file, "--out", tmp_path / "out", "--cluster", "auto", "--programs", "separate", *collect]
    status, _, err = ended(driver(cluster, *call))
    assert status == 3
    assert "first failure: pack" in err
    table = lanes.load(tmp_path / "out").set_index("activation")
    assert set(table.loc["tanh", "status"]) == {"done"}
    failed = table[table["status"] == "failed"]
    assert len(failed) == 4
    assert failed["error"].str.contains("no such instruction on this node").all()


@pytest.mark.parametrize("collect", [(), ("--collect",)], ids=["shared", "collect"])
def test_rungs(cluster, tmp_path, collect):
    add_node(cluster)
    halving = ["--halving", "2,4", "--keep", "0.5"]
    call = words(tmp_path, 6, *halving, *collect)
    status, _, err = ended(driver(cluster, *call, before=SMALL_PACKS))
    assert status == 0, err
    here = ["sweep", experiment(tmp_path, 6), "--out", tmp_path / "alone", "--width", 2, *halving, "--no-report"]
    assert main.run(list(map(str, here))) == 0
    assert_equal(tmp_path / "out", tmp_path / "alone")
    assert (lanes.load(tmp_path / "out")["status"] == "pruned").sum() == 18


@pytest.mark.parametrize("collect", [(), ("--collect",)], ids=["shared", "collect"])
def test_an_interrupt_saves_and_the_command_resumes(cluster, alone, tmp_path, collect):
    add_node(cluster)
    call = words(tmp_path, LONG, *collect)
    process = driver(cluster, *call, before=SMALL_PACKS)
    wait_for(lambda: parts(tmp_path / "out") >= 2, process)
    process.send_signal(signal.SIGINT)
    status, out, err = ended(process)
    assert status == 75, err
    assert "resume with:" in out
    assert life.workers(Directory(tmp_path / "out")) == []
    assert ended(driver(cluster, *call))[0] == 0
    assert_equal(tmp_path / "out", alone(LONG))


@pytest.mark.parametrize("collect", [(), ("--collect",)], ids=["shared", "collect"])
def test_lanes_stop_ends_driver_and_workers(cluster, tmp_path, collect):
    process = driver(cluster, *words(tmp_path, LONG, *collect), before=SMALL_PACKS)
    wait_for(lambda: parts(tmp_path / "out") >= 1, process)
    assert main.run(["stop", str(tmp_path / "out")]) == 0
    assert ended(process)[0] == 75
    assert life.workers(Directory(tmp_path / "out")) == []


def test_a_directory_that_workers_do_not_see_is_refused(cluster, tmp_path):
    call = words(tmp_path, SHORT)
    call[call.index("--out") + 1] = "/proc/self/cwd/out"
    status, _, err = ended(driver(cluster, *call, cwd=tmp_path))
    assert (status, err.count("\n")) == (2, 1)
    assert "is not shared: the worker on" in err
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.py"]
    status, _, err = ended(driver(cluster, *call, "--collect", cwd=tmp_path))
    assert (status, len(lanes.load(tmp_path / "out"))) == (0, 24), err


OTHER = "from lanes.storage import conditions; conditions.{0} = lambda: {1!r}"
REFUSED = {
    "devices": ("", ("--devices", 2), "the cluster's nodes have 1 (CPU) at most; choose 1 to 1"),
    "code": (OTHER.format("code", "0123456789ab"), (), ": code 0123456789ab -> "),
    "versions": (OTHER.format("libraries", {"jax": "0.1"}), (), ": jax 0.1 -> "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_there_is_refused_in_one_line(cluster, tmp_path, name):
    before, further, text = REFUSED[name]
    status, _, err = ended(driver(cluster, *words(tmp_path, SHORT, *further), before=before))
    assert (status, err.count("\n")) == (2, 1), err
    assert text in err
    assert not (tmp_path / "out").exists()


def test_another_version_of_the_experiments_code_is_refused(cluster, tmp_path):
    file = tmp_path / "own.py"
    slope = tmp_path / "slope.txt"
    slope.write_text("1.0")
    file.write_text(
        "import sys\nfrom lanes import Blobs, Run\nfrom nets import MLP\n"
        "SLOPE = 1.0 if 'default_worker' in sys.argv[0] else 2.0\n"
        "def slanted(x):\n    return SLOPE * x\n"
        "def sweep():\n    return [Run(data=Blobs(n=120, classes=3), net=MLP(widths=(4,)), activation=slanted, epochs=1)]\n"
    )
    status, _, err = ended(driver(cluster, "sweep", file, "--out", tmp_path / "out", "--cluster", "auto"))
    assert (status, err.count("\n")) == (2, 1), err
    assert "cannot train this" in err
    assert not (tmp_path / "out").exists()


def test_nothing_of_rays_is_printed(cluster, tmp_path):
    status, out, err = ended(driver(cluster, *words(tmp_path, SHORT)))
    assert status == 0
    assert all("runs" in line for line in [*out.splitlines(), *err.splitlines()]), (out, err)
