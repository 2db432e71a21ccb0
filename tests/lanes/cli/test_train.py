"""`lanes train`: options from the fields of Run, one run in a sweep's directory, repeating a run of a sweep."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro

import lanes
from lanes import Run, grid
from lanes.cli import train
from lanes.describe.runs import FIELDS
from nets import MLP

TINY = ("--net.widths", "8", "--epochs", "2", "--train-examples", "64", "--batch-size", "16")


def call(*command_line: object) -> int:
    words = train.with_dotted([str(word) for word in command_line])
    return train.main(tyro.cli(train.Arguments, args=words))


def assert_same(first: Path, second: Path, run_id: str) -> None:
    """Assert that the run's results and curve in two directories are bit-equal, except for times."""
    rows = [lanes.load(out).set_index("run_id").loc[run_id] for out in (first, second)]
    names = ["status", "epochs_done", "best_epoch", *(name for name in rows[0].index if name.endswith("_loss"))]
    assert [rows[0][name] for name in names] == [rows[1][name] for name in names]
    tables = [lanes.load_curves(out) for out in (first, second)]
    curves = [table[table["run_id"] == run_id].reset_index(drop=True) for table in tables]
    assert len(curves[0]) == 2
    pd.testing.assert_frame_equal(*curves, check_exact=True)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("swept")
    base = Run(net=MLP(widths=(8,)), activation="prelu", epochs=2, train_examples=64, batch_size=16, learning_rate=1e-2)
    lanes.sweep(grid(base, l2=[1e-4, 1e-3], seed=range(2)), out, width=2, devices=1, quiet=True)
    return out


def test_repeating_a_run_of_a_sweep_gives_the_same_numbers(swept: Path, tmp_path: Path) -> None:
    run_id = lanes.load(swept)["run_id"].iloc[2]
    assert call("--run", f"{swept}:{run_id[:9]}", "--out", tmp_path / "again") == 0
    assert list(lanes.load(tmp_path / "again")["run_id"]) == [run_id]
    assert_same(swept, tmp_path / "again", run_id)


def test_a_run_of_a_sweep_with_another_value_is_another_run(swept: Path, tmp_path: Path) -> None:
    run_id = lanes.load(swept)["run_id"].iloc[0]
    # 0.001 is Run's default: an option on the command line counts even if it equals the default.
    assert call("--run", f"{swept}:{run_id}", "--learning-rate", "0.001", "--out", tmp_path) == 0
    (row,) = lanes.load(tmp_path).to_dict("records")
    assert row["run_id"] != run_id
    assert (row["learning_rate"], row["l2"], row["net.widths"]) == (1e-3, 1e-4, "8")


def test_options_make_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (*TINY, "--activation", "tanh", "--learning_rate", "0.02", "--optimizer.b1=0.8", "--seed", "3")
    assert call(*options, "--out", tmp_path) == 0
    text = capsys.readouterr().out
    assert "1 of 1 runs ended" in text
    assert "valid_loss" in text
    assert "test_accuracy" in text
    (row,) = lanes.load(tmp_path).to_dict("records")
    expected = {"activation": "tanh", "learning_rate": 0.02, "optimizer.b1": 0.8, "seed": 3, "net.widths": "8"}
    assert {name: row[name] for name in expected} == expected
    assert (row["epochs_done"], row["width"]) == (2, 1)
    assert f"{np.float32(row['test_loss']):.4g}" in text
    assert call(*options, "--out", tmp_path) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--learning-rate", "fast"), "learning_rate is 'fast': it must be of type float"),
        (("--learning-rate", "-1"), "above 0"),
        (("--activation", "rellu"), "did you mean 'relu'"),
        (("--optimizer.b3", "0.5"), "did you mean 'b"),
        (("--set", "epochs"), "FIELD=VALUE"),
        (("--run", "nowhere"), "DIR:ID"),
        (("--run", "nowhere:abc"), "holds no sweep"),
        (("--width", "0"), "at least 1"),
    ],
)
def test_wrong_requests_are_one_line_and_write_nothing(tmp_path: Path, options: tuple, message: str) -> None:
    with pytest.raises(lanes.RequestError) as caught:
        call(*options, "--out", tmp_path / "out")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_unknown_run_of_a_sweep_is_one_line(swept: Path, tmp_path: Path) -> None:
    with pytest.raises(lanes.RequestError, match="unknown run 'zz'"):
        call("--run", f"{swept}:zz", "--out", tmp_path)


def test_help_shows_every_field_with_its_description(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(train.documentation(Run)) == set(FIELDS)
    with pytest.raises(SystemExit):
        tyro.cli(train.Arguments, args=["--help"])
    text = capsys.readouterr().out
    for name in FIELDS:
        assert f"--{name.replace('_', '-')} " in text
    assert "(default: 0.001)" in " ".join(text.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--net.widths", "128,128"], ["--set", "net.widths=128,128"]),
        (["--net.widths=8"], ["--set", "net.widths=8"]),
        (["--schedule.warm-up", "-1"], ["--set", "schedule.warm_up=-1"]),
        (["--out", "a.b", "--seed=1"], ["--out", "a.b", "--seed=1"]),
    ],
)
def test_dotted_options(words: list[str], expected: list[str]) -> None:
    assert train.with_dotted(words) == expected
