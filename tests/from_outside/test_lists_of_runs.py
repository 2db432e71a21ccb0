"""Lists of runs by the command: `--only run_id=…`, halving switched off, the best of a directory with more seeds."""

import re
import shlex
from pathlib import Path

import pytest

import lanes
from lanes.engine.options import Options
from lanes.results.chosen import chosen_runs

EXPERIMENT = """
from bent import bent
from lanes import Blobs, Halving, Run, grid
from nets import MLP

HALVING = Halving(rungs=(1,), keep=0.5)


def sweep():
    base = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), activation=bent, batch_size=16, epochs=2)
    return grid(base, [{}, {"l2": [1e-3]}], learning_rate=[1e-6, 3e-2], seed=range(2))
"""
NEIGHBOUR = "import jax.numpy as jnp\n\n\ndef bent(z):\n    return jnp.maximum(z, 0.1 * z)\n"


def test_the_page_on_lists_of_runs():
    text = (Path(__file__).parents[2] / "docs" / "lists_of_runs.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/lists_of_runs.md", "exec"), {"__name__": "example"})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "exp.py").write_text(EXPERIMENT)
    (tmp_path / "bent.py").write_text(NEIGHBOUR)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(folder, call):
    """A directory whose four combinations have two seeds each."""
    status, _, _ = call("exp.py", "--out", "out", "--halving", "off", "--no-report")
    assert status == 0
    return folder


def test_only_takes_run_ids_and_their_beginnings(folder, call):
    from lanes.describe.experiment_files import runs_of

    one, two = (lanes.identify(run) for run in runs_of(folder / "exp.py")[:2])
    status, out, _ = call(
        "exp.py", "--out", "out", "--halving", "off", "--dry-run", "--only", f"run_id={one}|{two[:6]}"
    )
    assert (status, out.split(" in ")[0]) == (0, "2 runs")
    for text, message in (
        ("run_id=zz", "matches no run of the 8"),
        ("run_id=", "matches no run"),
        ("run_id=|", "no run"),
    ):
        status, out, error = call("exp.py", "--out", "out", "--dry-run", "--only", text)
        assert (status, out, error.count("\n")) == (2, "", 1)
        assert message in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("exp.py --out out --best 1", "--best chooses among the runs of a directory: write --from DIR"),
        ("exp.py --out out --best 0", "write --from DIR"),
        ("exp.py --out out --metric valid_loss", "write --from DIR"),
        ("exp.py --out out --no-code", "write --from DIR"),
        ("exp.py", "--out is missing"),
        ("--out out", "an experiment file is missing"),
        ("exp.py --from out", "not both"),
        ("--from nothing --best 1", "nothing"),
        ("exp.py --out out --halving off --keep 0.5", "go with --halving"),
        ("exp.py --out out --halving of", "such as 5,10, or off"),
    ],
)
def test_wrong_requests_are_one_line(folder, call, words, message):  # noqa: ARG001
    status, out, error = call(*shlex.split(words))
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert message in error


@pytest.mark.slow
def test_the_best_of_a_directory_with_more_seeds(trained, call):
    first = lanes.load("out")
    assert set(first["status"]) == {"done"}  # the file's halving is off
    status, out, error = call("--from", "out", "--best", "1", "--metric", "valid_loss", "--seeds", "3", "--no-report")
    assert (status, out.split(" ended")[0]) == (0, "3 of 3 runs"), error
    table = lanes.load("out")
    new = table[~table["run_id"].isin(first["run_id"])]
    best = first.groupby("combination_id")["valid_loss"].mean().idxmin()
    assert list(new["combination_id"]) == [best]
    assert list(new["seed"]) == [2]
    # The file asks for the new run as `--seeds 3` does: a changed file leaves all its runs behind.
    (trained / "bent.py").write_text(NEIGHBOUR.replace("0.1", "0.2"))
    assert call("exp.py", "--out", "out", "--halving", "off", "--only", "seed=0", "--no-report")[0] == 0
    assert set(lanes.load("out").set_index("run_id")["earlier_version_of"][table["run_id"]]) == {"exp.py"}


@pytest.mark.slow
def test_runs_of_a_directory_go_to_another_with_other_settings(trained, call):
    asked = ["--from", "out", "--best", "2", "--metric", "valid_loss", "--only", "l2=0", "--set", "epochs=1"]
    status, _, error = call(*asked, "--out", "more", "--no-report", "--no-code")
    assert (status, error.count("\n")) == (2, 1)
    assert "needs bent:bent of out/experiment.py" in error
    assert call(*asked, "--out", "more", "--no-report")[0] == 0
    table = lanes.load("more")
    assert (len(table), set(table["epochs"]), set(table["l2"])) == (4, {1}, {0.0})
    assert (trained / "more" / "bent.py").read_text() == NEIGHBOUR  # its own copy
    lanes.restore("more", table["run_id"][0])
    status, out, _ = call("--from", "out", "--no-report")  # all of them: nothing is left
    assert status == 0
    assert "nothing to do" in out
    for words, message in (
        ("--from out --halving off --best 9 --seeds 1 --dry-run", ""),
        ("--from out --metric valid_loss", "add --best"),
        ("--from out --best 1 --only l2=7", "matches no run"),
        ("--from out --best 1 --only run_id=zzz", "unknown run 'zzz'"),
    ):
        status, _, error = call(*shlex.split(words))
        assert (status, message in error) == ((0 if not message else 2), True), error


@pytest.mark.slow
def test_seeds_are_refused_where_each_has_a_pretrained_run_of_its_own(tmp_path, monkeypatch):
    import dataclasses

    from lanes import Blobs, Run
    from nets import MLP

    monkeypatch.chdir(tmp_path)
    base = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), batch_size=16, epochs=1)
    first = lanes.sweep(lanes.grid(base, seed=range(2)), out="first", quiet=True)
    own = [dataclasses.replace(base, seed=seed, init_from=f"first:{first.run_id[seed]}") for seed in range(2)]
    lanes.sweep(own, out="second", **vars(Options(quiet=True)))
    chosen = chosen_runs("second", best=1)
    assert chosen.experiment is None
    with pytest.raises(lanes.RequestError, match="has its own init_from, which --seeds would not change"):
        chosen.with_seeds(3)
    assert len(chosen_runs("first", best=1).with_seeds(3)) == 3
