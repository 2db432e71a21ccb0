"""`lanes evaluate` of users' files: own data and measures, targets of every kind, one line for what makes no sense."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lanes
from lanes.cli import evaluate, main
from lanes.data.loading import load_dataset

FILE = '''
import dataclasses

import numpy as np

from lanes import GaussianLikelihood, Run, Tokens
from nets import MLP, Recurrent


def flowers():
    """Three kinds of two measurements."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 150)
    return rng.normal(size=(150, 2)) * [1, 1e3] + kind[:, None] * [1, 1e3], kind


def other_flowers():
    """Two of the kinds, in another garden."""
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, 60)
    return rng.normal(size=(60, 2)) * [1, 1e3] + kind[:, None] * [1, 1e3], kind


def five_kinds():
    rng = np.random.default_rng(1)
    return rng.normal(size=(60, 2)), np.arange(60) % 5


def ill():
    """A rarer kind, as one target of 0 and 1."""
    rng = np.random.default_rng(2)
    rare = rng.random(200) < 0.3
    return rng.normal(size=(200, 3)) + rare[:, None], rare.astype(float)


def prices():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(120, 3))
    return x, np.stack([x @ [1, 2, 3] * 1000 + 5000, x[:, 0]], axis=1)


def words():
    rng = np.random.default_rng(4)
    x = rng.integers(0, 9, (60, 8))
    return Tokens(x[:, :-1]), x[:, 1:]


def right(targets, classes):
    return np.mean(targets == classes)


def sweep():
    base = Run(data=flowers, net=MLP(widths=(8,)), epochs=2, batch_size=16, learning_rate=1e-2)
    return [
        base,
        dataclasses.replace(base, loss="hinge"),
        dataclasses.replace(base, data=ill, loss="binary_cross_entropy"),
        dataclasses.replace(base, data=prices, task=GaussianLikelihood(standardize=True)),
        dataclasses.replace(base, data=words, net=Recurrent(widths=(8,), head="each")),
    ]
'''


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("promotion_of_users")]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("garden")
    (folder / "garden.py").write_text(FILE)
    words = ["sweep", str(folder / "garden.py"), "--out", str(folder / "out"), "--devices", "1"]
    assert main.run(words) == 0
    return folder / "out"


def call(*words: object) -> int:
    return evaluate.run([str(word) for word in words])


def test_own_data_own_measures_and_tables_beside_the_file(out: Path, tmp_path: Path, capsys) -> None:
    file, table = out.parent / "garden.py", tmp_path / "table.csv"
    words = [
        "--where",
        "data=flowers",
        "loss=softmax_cross_entropy",
        "--split",
        "all",
        "--data",
        f"{file}:other_flowers",
    ]
    assert call(out, *words, "--confusion", "--measure", "classes=experiment:right", "--out", table) == 0
    assert "1 runs on other_flowers all" in capsys.readouterr().out
    row, confusion = pd.read_csv(table).iloc[0], pd.read_csv(tmp_path / "table.confusion.csv")
    assert row["evaluated_right"] == pytest.approx(row["evaluated_accuracy"], abs=1e-6)
    assert confusion["examples"].sum() == 60
    assert confusion.loc[confusion["target"] == 2, "examples"].sum() == 0
    diagonal = confusion.loc[confusion["target"] == confusion["predicted"], "examples"].sum()
    assert diagonal / 60 == pytest.approx(row["evaluated_accuracy"], abs=1e-6)
    assert len(pd.read_csv(tmp_path / "table.classes.csv")) == 3


def test_one_json_document_holds_the_tables(out: Path, capsys) -> None:
    words = ["--where", "data=ill", "--calibration", "--measure", "positive=sklearn.metrics:average_precision_score"]
    assert call(out, *words, "--attack", "fgsm", "--epsilon", "0.5", "--epsilon-in", "deviations", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["runs"]
    assert row["evaluated_loss_fgsm_0.5sd"] > row["evaluated_loss"]
    assert {entry["condition"] for entry in document["calibration"]} == {"clean", "fgsm_0.5sd"}
    assert sum(entry["examples"] for entry in document["calibration"]) == 2 * 20
    assert 0 < row["evaluated_average_precision_score"] <= 1


def test_predictions_of_numbers_are_in_the_units_of_the_data(out: Path, tmp_path: Path) -> None:
    file = tmp_path / "prices.parquet"
    assert call(out, "--where", "data=prices", "--predictions", file) == 0
    table = pd.read_parquet(file)
    assert list(table.columns) == ["run_id", "example", "target", "predictions", "deviations"]
    run_id = table["run_id"].iloc[0]
    data = load_dataset(lanes.open_run(out, run_id).data)
    expected = lanes.predict(out, run_id, data.test.x)
    np.testing.assert_allclose(np.stack(table["target"].to_list()), data.test.y, rtol=1e-6)
    said = np.concatenate([np.stack(table[name].to_list()) for name in ("predictions", "deviations")], axis=1)
    np.testing.assert_allclose(said, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "data=words", "--attack", "fgsm", "--epsilon", "1"], "holds tokens"),
        (["--where", "data=words", "--corrupt", "noise=0.1"], "holds tokens"),
        (["--where", "data=flowers", "--data", "FILE:five_kinds"], "must be equal"),
        (["--where", "data=flowers", "--data", "FILE:nothing"], "nothing of the name"),
        (["--where", "data=flowers", "--data", "experiment:ill", "--no-code"], "--no-code"),
        (["--where", "loss=hinge", "--calibration"], "no probabilities"),
        (["--where", "data=prices", "--confusion"], "has none"),
        (["--measure", "classes=experiment:right"], "predicts no classes"),
        (["--predictions", "all.parquet"], "unlike things"),
        (["--out", "nowhere/table.csv"], "there is no folder"),
    ],
)
def test_what_makes_no_sense_is_one_line(out: Path, words: list[str], message: str, capsys) -> None:
    words = [word.replace("FILE", str(out.parent / "garden.py")) for word in words]
    assert call(out, *words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert message in lines[0]
