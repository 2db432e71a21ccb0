"""`lanes diagnose`: tables and pictures, exit statuses, one line for what cannot be diagnosed."""

import json
from pathlib import Path

import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import Run, grid
from lanes.cli import main
from lanes.program.compiled import Programs
from nets import MLP

PROGRAMS = Programs()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: two activations and two seeds."""
    out = tmp_path_factory.mktemp("diagnosed") / "runs"
    base = Run(data=OVERLAPPING, net=MLP(widths=(6, 5)), epochs=1, batch_size=16)
    runs = grid(base, activation=["tanh", "relu"], seed=range(2))
    lanes.sweep(runs, out=out, quiet=True, devices=1, programs=PROGRAMS)
    return out


def test_tables_and_pictures_are_written_beside_the_sweep(swept, capsys):
    assert main.run(["diagnose", str(swept), "--what", "activations", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    table = pd.read_parquet(swept / "diagnoses" / "activations.parquet")
    assert list(table.columns[:3]) == ["run_id", "depth", "layer"]
    assert len(table) == len(document["tables"]["activations"])
    assert {"activation", "seed", "net.widths"} <= set(table)
    assert (swept / "diagnoses" / "activations.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--what", "activation"], "unknown diagnosis 'activation': did you mean 'activations'?"),
        (["--split", "trian"], "unknown split 'trian': did you mean 'train'?"),
        (["--examples", "0"], "--examples is 0"),
        (["--epoch", "3"], "--epoch is '3'"),
        (["--run", "zz"], "unknown run 'zz'"),
        (["--best", "0"], "--best is 0"),
    ],
)
def test_a_wrong_request_is_one_line(swept, words, line, capsys):
    assert main.run(["diagnose", str(swept), *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_an_empty_directory_and_a_file_in_place_of_the_folder_are_one_line(swept, tmp_path, capsys):
    assert main.run(["diagnose", str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main.run(["diagnose", str(swept), "--out", str(tmp_path / "file")]) == 2
    assert "is a file: choose another folder" in capsys.readouterr().err
