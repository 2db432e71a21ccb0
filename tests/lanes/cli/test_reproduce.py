"""`lanes reproduce`: experiments with a verdict are trained, measured, judged, drawn and compared with their record."""

import json
import re
import textwrap

import pytest

from lanes.cli.main import run

TRAINED = """
    '''Is a small rate slower?

    Source: a test.
    '''
    import matplotlib.pyplot as plt
    from lanes import Blobs, Run, Verdict, grid
    from nets import MLP

    BASE = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), batch_size=20, epochs=2)

    def sweep():
        return grid(BASE, learning_rate=[0.1, 1e-4], seed=range(3))

    def verdict(results):
        gain = results.difference("valid_loss", ["learning_rate=0.1"], ["learning_rate=0.0001"])
        return Verdict("holds" if gain.low > 0 else "does not hold", "the loss is higher", {"gain": gain})

    def figure(results):
        drawing, axes = plt.subplots()
        axes.plot(results.runs["learning_rate"], results.runs["valid_loss"], ".")
        return drawing
"""
MEASURED = """
    '''How large is a number?'''
    import pandas as pd
    from lanes import Verdict

    def measure(results):
        with open("calls.txt", "a") as file:
            file.write("x")
        return pd.DataFrame({"a": [1.0, 2.0]})

    def verdict(results):
        return Verdict("holds", "it is small", {"sum": results.measured["a"].sum()})
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    claims = tmp_path / "experiments" / "claims"
    claims.mkdir(parents=True)
    for name, text in (("trained", TRAINED), ("measured", MEASURED)):
        (claims / f"{name}.py").write_text(textwrap.dedent(text))
    return claims


def test_an_experiment_is_recorded_and_then_as_recorded(folder, capsys):
    assert run(["reproduce", "trained", "--record"]) == 0
    recorded = json.loads((folder / "recorded" / "trained.json").read_text())
    assert recorded["outcome"] == "holds"
    assert recorded["numbers"]["gain"]["n"] == 3
    assert (folder / "recorded" / "trained.png").read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    assert run(["reproduce", "trained"]) == 0
    assert re.search(
        r"Is a small rate slower\?\n  holds: the loss is higher\n    gain: .* \(n = 3\)\n  as recorded",
        capsys.readouterr().out,
    )
    recorded["numbers"]["gain"]["mean"] += 10
    (folder / "recorded" / "trained.json").write_text(json.dumps(recorded))
    assert run(["reproduce", "trained"]) == 3
    assert "not as recorded: gain: " in capsys.readouterr().err


def test_what_was_measured_is_kept_until_the_file_changes(folder, capsys):
    for calls, edit in ((1, False), (1, False), (2, True)):
        if edit:
            (folder / "measured.py").write_text(textwrap.dedent(MEASURED) + "# edited\n")
        assert run(["reproduce", "measured"]) == 0
        assert (folder.parents[1] / "calls.txt").read_text() == "x" * calls
    assert "sum: 3\n" in capsys.readouterr().out
    assert json.loads((folder.parents[1] / "runs/reproduced/measured.json").read_text())["outcome"] == "holds"


@pytest.mark.usefixtures("folder")
def test_no_time_is_a_stop(capsys):
    assert run(["reproduce", "claims", "--minutes", "1e-9"]) == 75
    assert "2 of 2 are left; repeat the command to go on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ("def verdict(results):\n    return 1\n", "return a lanes.Verdict"),
        ("def verdict(results):\n    return 1 / 0\n", r"verdict\(results\) of .* raises ZeroDivisionError"),
        ("def measure(results):\n    return []\n", "return a pandas table with rows"),
        ("def figure(results):\n    return 'a picture'\n", "return a matplotlib figure"),
        ("measure = None\ndef sweep():\n    return 1\n", "must return a list of Run"),
        ("verdict = None\n", r"has no function verdict\(results\)"),
        ("measure = None\n", r"neither sweep\(\) nor measure\(results\)"),
    ],
)
def test_a_wrong_experiment_is_one_line(folder, capsys, edit, says):
    (folder / "measured.py").write_text(f"{textwrap.dedent(MEASURED)}\n\n{edit}")
    assert run(["reproduce", "measured"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(says, error)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["mesured"], "experiment 'mesured' is unknown: use claims, papers, "),
        (["--folder", "nowhere"], "nowhere has no experiments in claims or papers"),
        (["--minutes", "-1"], "--minutes is -1: it must be above 0"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_requests_are_one_line(capsys, words, says):
    assert run(["reproduce", *words]) == 2
    assert says in capsys.readouterr().err


def test_what_needs_a_gpu_is_skipped_in_one_line_on_a_cpu(folder, capsys):
    file = folder / "measured.py"
    file.write_text(file.read_text().replace("a number?", "a number?\n\nNeeds: a GPU. It took an hour on one.\n"))
    assert run(["reproduce", "measured"]) == 0
    _, skipped = capsys.readouterr().out.splitlines()
    assert (
        skipped
        == f"  skipped: it needs a GPU (lanes sweep {file.relative_to(folder.parents[1])} trains it here all the same)"
    )
    assert not (folder.parents[1] / "calls.txt").exists()
