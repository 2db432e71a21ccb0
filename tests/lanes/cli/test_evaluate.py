"""`lanes evaluate`: the table, the file, exit statuses; an experiment's own functions after its file is deleted."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tyro

import lanes
from lanes.cli import evaluate
from lanes.describe.experiment_files import runs_of
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.reporting.table_formats import spreadsheet_text

CHECKOUT = Path(__file__).parents[3]
EXPERIMENT = """
import dataclasses

import jax
import jax.numpy as jnp

from lanes import Run, grid
from nets import MLP


@dataclasses.dataclass(frozen=True)
class Bent:
    slope: float = 0.1

    def __call__(self, z: jax.Array) -> jax.Array:
        return jnp.where(z > 0, z, self.slope * z)


def quartic(prediction: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.sum((prediction - jax.nn.one_hot(target, 10)) ** 4, axis=-1)


def sweep() -> list[Run]:
    base = Run(
        net=MLP(widths=(8,)), epochs=2, train_examples=64, batch_size=16, activation=Bent(0.2), loss=quartic,
        learning_rate=1e-2,
    )
    return grid(base, seed=range(2))
"""


def call(*command_line: object) -> int:
    return evaluate.main(tyro.cli(evaluate.Arguments, args=[str(word) for word in command_line]))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of an experiment with its own activation and loss, whose file is deleted afterwards."""
    folder = tmp_path_factory.mktemp("own")
    file = folder / "own.py"
    file.write_text(EXPERIMENT)
    options = Options(width=2, devices=1, quiet=True)
    outcome = run_sweep(make_plan(runs_of(file), options), folder / "out", options, experiment=file)
    assert outcome.status == 0
    file.unlink()
    return folder / "out"


def test_the_table_has_stored_and_new_metrics(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(swept) == 0
    text = capsys.readouterr().out
    assert "2 runs on digits test" in text
    for run_id in lanes.load(swept)["run_id"]:
        assert run_id in text
    assert all(name in text for name in ("test_accuracy", "evaluated_accuracy", "evaluated_loss", "seed"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_table_is_written(swept: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"table.{suffix}"
    assert call(swept, "--ensemble", "--split", "train", "--out", file) == 0
    table = pd.read_csv(file) if suffix == "csv" else pd.read_parquet(file)
    assert list(table["run_id"][-2:]) == ["mean member", "ensemble"]
    members = table[:-2]
    pd.testing.assert_series_equal(members["evaluated_loss"], members["train_loss"], check_names=False, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "table.xlsx"), ".csv or .parquet"),
        (("--best", 0), "at least 1"),
        (("--run", "abc", "--best", 1), "leave one out"),
        (("--epoch", 3), "only the best and the last"),
        (("--mc-dropout", 5), "has no dropout"),
    ],
)
def test_wrong_requests_are_one_line(swept: Path, options: tuple, message: str) -> None:
    with pytest.raises(lanes.RequestError) as caught:
        call(swept, *options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_experiments_own_functions_in_a_new_process_after_its_file_is_deleted(swept: Path) -> None:
    run_id = lanes.load(swept)["run_id"].iloc[1]
    command = [sys.executable, "-m", "lanes.cli.main", "evaluate", swept, "--run", run_id[:8], "--split", "valid"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert run_id in done.stdout
    assert "1 runs on digits valid" in done.stdout


def test_a_missing_directory_exits_with_2_and_one_line(tmp_path: Path) -> None:
    with pytest.raises(lanes.RequestError, match="holds no sweep"):
        call(tmp_path / "nothing")


def test_a_text_that_a_spreadsheet_would_run_is_quoted():
    cells = ["=1+1", "@x", "-1", -1.5, None, "tanh", "\tx"]
    assert [spreadsheet_text(cell) for cell in cells] == ["'=1+1", "'@x", "'-1", -1.5, None, "tanh", "\\tx"]
