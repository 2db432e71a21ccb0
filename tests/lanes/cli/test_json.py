"""`--json`: one document on standard output, with the numbers of the tables, null for what is missing."""

import json

import numpy as np
import pandas as pd
import pytest

import lanes
from lanes.cli import evaluate, report, sweep
from lanes.cli.json_output import plain, say_json
from lanes.results.documents import results_document

EXPERIMENT = """
from lanes import Blobs, Run, grid
from nets import MLP

def sweep():
    base = Run(data=Blobs(n=120, classes=3, distance=1.5), net=MLP(widths=(4,)), batch_size=16, epochs=2)
    return grid(base, optimizer=["sgd"], learning_rate=[0.1, 1e30], seed=range(2))
"""


def documents(capsys: pytest.CaptureFixture) -> dict:
    """What a command printed, which must be one strict JSON document."""
    return json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Two runs that end and two that diverge."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "own.py").write_text(EXPERIMENT)
    return folder / "own.py", folder / "out"


def test_plan_results_and_evaluation_as_json(swept, capsys):
    file, out = swept
    assert sweep.run([str(file), "--out", str(out), "--dry-run", "--json"]) == 0
    plan = documents(capsys)
    assert (plan["runs"], plan["programs"][0]["parameters"]) == (4, 2 * 4 + 4 + 4 * 3 + 3)
    assert not out.exists()

    assert sweep.run([str(file), "--out", str(out), "--json", "--no-report"]) == 0
    ended = documents(capsys)
    assert (ended["exit_status"], ended["ended"], ended["planned"]) == (0, 4, 4)
    table = lanes.load(out)
    assert [run["run_id"] for run in ended["runs"]] == list(table["run_id"])
    for run, (_, row) in zip(ended["runs"], table.iterrows(), strict=True):
        assert run["valid_loss"] == (None if pd.isna(row["valid_loss"]) else row["valid_loss"])
    (board,) = ended["leaderboards"]
    best, worst = board["combinations"]
    own = table[table["run_id"].isin(best["run_ids"])]
    assert best["settings"] == {"learning_rate": 0.1}
    assert best["metrics"][board["metric"]]["mean"] == pytest.approx(own[board["metric"]].mean(), rel=1e-12)
    assert worst["status"] == {"diverged": 2}
    assert worst["metrics"][board["metric"]] == {"mean": None, "half_width": None, "n": 0}

    assert report.run([str(out), "--json"]) == 0
    assert documents(capsys)["leaderboards"] == ended["leaderboards"]
    assert evaluate.run([str(out), "--best", "1", "--json"]) == 0
    evaluated = documents(capsys)["runs"]
    assert {run["run_id"] for run in evaluated} == set(best["run_ids"])
    assert all(run["evaluated_accuracy"] == pytest.approx(run["test_accuracy"]) for run in evaluated)


def test_a_sweep_without_results_is_a_document_too(capsys, swept):
    table = lanes.load(swept[1]).assign(status=None)
    with pytest.raises(lanes.RequestError):
        results_document(table.drop(columns="valid_loss"), "valid_loss")
    say_json(
        {"not finite": [float("nan"), np.inf, np.float32(1.5), pd.NA, pd.NaT], "text": "a\x1b[2J\n", "path": swept[1]}
    )
    found = documents(capsys)
    assert found == {"not finite": [None, None, 1.5, None, None], "text": "a\x1b[2J\n", "path": str(swept[1])}
    assert plain((1, {2: np.arange(2)})) == [1, {"2": [0, 1]}]


def test_findings_of_a_report_as_json():
    rows = [
        {"run_id": f"{rate}{size}{seed}", "status": "done", "learning_rate": rate, "batch_size": size, "seed": seed}
        | {"valid_accuracy": rate + size / 1000 + 0.001 * np.sin(seed + 9 * rate + size)}
        for rate in (0.1, 0.2, 0.3)
        for size in (8, 16)
        for seed in range(3)
    ]
    conditions = ("learning_rate=0.1", "batch_size=8")
    (board,) = plain(results_document(pd.DataFrame(rows), "valid_accuracy", conditions))["leaderboards"]
    assert board["importance"]["method"] == "functional ANOVA"
    assert board["importance"]["shares"][0]["axes"] == ["learning_rate"]
    assert board["baseline"]["rank"] == 6
    differences = board["baseline"]["differences"]["valid_accuracy"]
    assert differences[0]["mean"] == pytest.approx(0.208, abs=0.002)
    assert differences[0]["told_apart"] is True
    assert board["edges"]["axes"][0]["following"] == [0.2, 0.3, 0.4, 0.5]
    assert board["edges"]["grid"].startswith('grid(BASE, {"batch_size": [16], "learning_rate": [0.2, 0.3, 0.4, 0.5]}')
    assert board["noise_floor"]["valid_accuracy"]["seeds"] == 3
    assert board["ended_early"] == []
