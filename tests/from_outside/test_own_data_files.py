"""A sweep on a text of the user's own, by the commands: trained, sampled, evaluated, moved away and changed."""

import shutil

import pytest

import lanes
from lanes.cli import evaluate
from lanes.errors import RequestError

EXPERIMENT = """
from lanes import Run, Text
from nets import Recurrent


def sweep():
    net = Recurrent(cell="gru", widths=(4,), head="each", embedding=3)
    return [Run(data=Text("prose.txt", sequence=8), net=net, batch_size=16, epochs=2, learning_rate=0.03)]
"""
PROSE = "Der Igel und der Hase liefen um die Wette.\n" * 40


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prose.txt").write_text(PROSE, encoding="utf-8")
    (tmp_path / "exp.py").write_text(EXPERIMENT)
    return tmp_path


@pytest.mark.slow
def test_a_text_is_trained_sampled_and_evaluated(folder, call, capsys):
    status, out, error = call("exp.py", "--out", "out", "--no-report")
    assert (status, out.split(" ended")[0]) == (0, "1 of 1 runs"), error
    run_id = lanes.load("out").run_id[0]
    written = lanes.write_text("out", run_id, length=30)
    assert written == lanes.write_text("out", length=30, trust=False)
    assert (written[0], len(written)) == ("\n", 31)
    assert set(written) <= set(PROSE)
    assert lanes.write_text("out", length=5, start="Igel", temperature=0.0).startswith("Igel")
    for wrong, message in (({"start": "ß"}, "start holds 'ß', which prose.txt lacks"), ({"length": 0}, "at least 1")):
        with pytest.raises(RequestError, match=message):
            lanes.write_text("out", **wrong)
    assert evaluate.run(["out", "--split", "valid"]) == 0
    capsys.readouterr()
    shutil.move(folder / "prose.txt", folder / "moved.txt")
    for command in (lambda: evaluate.run(["out"]), lambda: call("exp.py", "--out", "out")[0]):
        assert command() == 2
        error = capsys.readouterr().err
        assert not error or (error.count("\n"), "prose.txt is not there" in error) == (1, True)
    (folder / "prose.txt").write_text(PROSE.replace("Igel", "Esel"))
    assert evaluate.run(["out"]) == 2
    assert "gives other arrays than out was trained on" in capsys.readouterr().err
    (folder / "data").mkdir()
    shutil.move(folder / "moved.txt", folder / "data" / "prose.txt")
    assert evaluate.run(["out", "--data-dir", "data"]) == 0
