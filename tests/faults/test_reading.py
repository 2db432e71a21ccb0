"""What cannot be read now is no damage; who may not write renames nothing and reads the rest; other sweeps stay as they are."""

import errno
import os
import sys
import tempfile
from pathlib import Path

import pytest
from crafting import checkpoint_of, describe, set_column
from crafts import field, halving, symbol
from injuries import copy, ignore, resume

import lanes
from lanes.cli import main
from lanes.errors import DamagedFileError, RequestError
from lanes.storage import plausible, trained
from lanes.storage.directory import Directory


def names(out: Path) -> list[str]:
    """Every file and folder of a directory."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*"))


def fail(monkeypatch, end: str, error: BaseException) -> None:
    """Make opening files whose path has this end fail."""
    real = os.open

    def opened(path, *arguments, **keywords):
        if str(path).endswith(end):
            raise error
        return real(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", opened)


ERRORS = [OSError(number, os.strerror(number)) for number in (errno.EMFILE, errno.EIO, errno.EACCES)]


@pytest.mark.parametrize("error", [*ERRORS, MemoryError("cannot allocate")], ids=str)
@pytest.mark.parametrize("end", ["runs.parquet", "runs.copy.parquet", "sweep.json", "results"])
def test_a_file_that_cannot_be_read_now_is_an_error(reference, tmp_path, monkeypatch, capsys, end, error):
    out = copy(reference.path, tmp_path / "sweep")
    if end == "results":
        end = next((out / "results").glob("*.parquet")).name
    before = names(out)
    fail(monkeypatch, end, error)
    status = main.run(["report", str(out)])
    monkeypatch.undo()
    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines)) == (3, 1), lines
    assert lines[0].startswith("error: ")
    assert names(out) == before


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_copy_of_the_experiment_that_cannot_be_read_now_is_an_error(reference, tmp_path, monkeypatch, number):
    out = copy(reference.path, tmp_path / "sweep")
    before = names(out)
    fail(monkeypatch, "experiment.py", OSError(number, os.strerror(number)))
    with pytest.raises(OSError, match=os.strerror(number)):
        lanes.restore(out, reference.table["run_id"][0])
    assert resume(out) == 3
    monkeypatch.undo()
    assert {*before} <= {*names(out)}


def damage(out: Path) -> Path:
    """Cut one of the parts with results."""
    part = next((out / "results").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    return part


def test_a_reader_that_may_not_rename_reads_the_rest(reference, tmp_path, monkeypatch, capsys):
    out = copy(reference.path, tmp_path / "sweep")
    part, before = damage(out), names(out)

    def refused(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    for name in ("rename", "replace", "unlink", "mkdir", "link"):
        monkeypatch.setattr(os, name, refused)
    table = lanes.load(out)
    monkeypatch.undo()
    assert table["status"].notna().sum() == 16
    assert capsys.readouterr().err.splitlines() == [f"{out}: results/{part.name} is not a table of a sweep: ignored"]
    assert names(out) == before


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reads_and_changes_nothing(reference):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        out = copy(reference.path, Path(folder) / "sweep")
        damage(out)
        lanes.load(reference.path)  # imports what is needed while it can be read
        before = names(out)
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionError):
                (out / "probe").touch()
            table = lanes.load(out)
        finally:
            os.seteuid(0)
        assert table["status"].notna().sum() == 16
        assert names(out) == before


# ---- other sweeps ------------------------------------------------------------------------------------------------


def test_a_sweep_that_is_referred_to_is_read_and_not_mended(reference, tmp_path, capsys):
    from lanes.storage import initial_weights

    out = copy(reference.path, tmp_path / "other")
    damage(out)
    (out / "runs.parquet").write_bytes(b"PAR1")
    checksums = checkpoint_of(out) / "checksums.json"
    checksums.write_text("{}")
    before, run_id = names(out), reference.table["run_id"][0]
    with pytest.raises(RequestError):
        initial_weights.load(f"{out}:{run_id}")
    assert initial_weights.described(f"{out}:{run_id}") is not None
    assert names(out) == before
    assert "ignored" in capsys.readouterr().err


def test_code_of_a_sweep_that_is_referred_to_needs_trust(reference, tmp_path):
    """The data of a run without code of its own are the codes of a run that needs code."""
    out = copy(reference.path, tmp_path / "sweep")
    run_id = reference.table["run_id"][0]
    inside = {"source": f"{reference.path}:{run_id}", "data": None, "valid_fraction": None}
    describe(out, data=symbol("lanes:Encoded", fields=inside), activation=symbol("jax.nn:relu"))
    row = trained.find_run(Directory(out, ignore), run_id)
    with pytest.raises(RequestError, match=r"needs experiment:bent of .*, which is code"):
        trained.run_of(Directory(out, ignore), row, trust=False)
    assert trained.run_of(Directory(out, ignore), row).data.source.endswith(run_id)


# ---- what directories say ----------------------------------------------------------------------------------------


def test_an_ordinary_directory_has_nothing_that_this_program_does_not_write(reference):
    directory = Directory(reference.path, ignore)
    assert plausible.wrong_in_runs(directory.runs_table()) is None
    assert plausible.wrong_in_sweep(directory.read_sweep()) is None


def test_a_halving_that_a_directory_brings_is_checked_like_a_requested_one(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    halving(rungs=[2, 6])(out, tmp_path)
    with pytest.raises(
        RequestError, match=r"sweep.json brings a halving that cannot be: halving has a rung at epoch 6"
    ):
        resume(out)
    halving(metric="valid_nothing")(out, tmp_path)
    with pytest.raises(RequestError, match=r"unknown halving metric 'valid_nothing'"):
        resume(out)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("pack", "../ab", "has the pack '../ab'"),
        ("experiment", "/etc/passwd", "has the experiment '/etc/passwd'"),
        ("pack_shape", "8,4,1,ab", "has the pack_shape '8,4,1,ab'"),
        ("lane", 99, "has a lane 99 in a pack of 8"),
        ("asked_by", "[1]", "has the asked_by '[1]'"),
    ],
)
def test_names_are_checked_when_they_are_read(reference, tmp_path, column, value, said):
    out, lines = copy(reference.path, tmp_path / "sweep"), []
    set_column(out, column, value)
    assert Directory(out, lines.append).runs_table() is None
    assert sum(said in line and "which this program does not write: set aside as" in line for line in lines) == 2 or (
        column == "lane" and sum(said in line for line in lines) == 2
    )


def test_a_description_that_makes_no_run_is_refused_in_one_line(reference, tmp_path):
    run_id = reference.table["run_id"][0]
    for name, value in (("optimizer", {"partial": 3}), ("harm", 1), ("net", symbol("nets:MLP", fields={"nothing": 1}))):
        out = copy(reference.path, tmp_path / "sweep")
        field(name, value)(out, tmp_path)
        with pytest.raises(RequestError, match="description"):
            lanes.restore(out, run_id)


def test_a_checkpoint_with_a_pipe_or_a_link_in_it_is_damaged(reference, tmp_path):
    from lanes.storage import checkpoints

    out = copy(reference.path, tmp_path / "sweep")
    at = checkpoint_of(out)
    (at / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(DamagedFileError, match="does not hold the files"):
        checkpoints.verify(at)
    (at / "link").unlink()
    checkpoints.verify(at)
    (at / "_METADATA").unlink()
    os.mkfifo(at / "_METADATA")
    with pytest.raises(DamagedFileError, match="_METADATA does not match"):
        checkpoints.verify(at)
