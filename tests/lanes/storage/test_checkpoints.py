import errno
import os
import shutil

import numpy as np
import pytest

from lanes import files
from lanes.errors import DamagedFileError
from lanes.storage import checkpoints

LEAVES = {
    "trained.params.hidden_0.kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
    "status": np.array([1, 2, 3], np.int32),
    "spent": np.asarray(1.5),
}


@pytest.fixture
def folder(tmp_path):
    checkpoints.save(tmp_path / "pack", 3, LEAVES)
    return tmp_path / "pack"


def test_checkpoints_are_loaded_as_saved(folder):
    lines = []
    epoch, leaves = checkpoints.load(folder, lines.append)
    assert epoch == 3
    assert not lines
    assert leaves.keys() == LEAVES.keys()
    for name, leaf in LEAVES.items():
        assert isinstance(leaves[name], np.ndarray)
        np.testing.assert_array_equal(leaves[name], leaf, strict=True)
    nested = checkpoints.nest(leaves, "trained.params")
    np.testing.assert_array_equal(nested["hidden_0"]["kernel"], LEAVES["trained.params.hidden_0.kernel"])


def test_a_new_checkpoint_replaces_its_predecessor(folder):
    checkpoints.save(folder, 4, LEAVES)
    assert [path.name for path in folder.iterdir()] == ["4"]


@pytest.mark.parametrize("how", ["flip", "truncate", "delete", "add"])
def test_a_damaged_checkpoint_is_replaced_by_its_predecessor(folder, tmp_path, how):
    checkpoints.save(tmp_path / "other" / "pack", 5, LEAVES)
    (tmp_path / "other" / "pack" / "5").rename(folder / "5")
    file = max(checkpoints.files(folder / "5"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif how == "truncate":
        file.write_bytes(content[:-1])
    elif how == "delete":
        file.unlink()
    else:
        (folder / "5" / "foreign").touch()
    assert checkpoints.read(folder)[0] == 3  # a reader changes nothing
    assert (folder / "5").exists()
    lines = []
    assert checkpoints.load(folder, lines.append)[0] == 3
    assert len(lines) == 1
    assert "set aside as damaged-0-5" in lines[0]
    assert (folder / "damaged-0-5").exists()


def test_a_pack_with_only_damaged_checkpoints(folder):
    (folder / "3" / "checksums.json").write_text("{}")
    with pytest.raises(DamagedFileError):
        checkpoints.read(folder)
    assert checkpoints.load(folder, [].append) is None


def test_an_unfinished_checkpoint_is_ignored(folder):
    (folder / "3" / "checksums.json").unlink()
    assert checkpoints.read(folder) is None
    lines = []
    assert checkpoints.load(folder, lines.append) is None
    assert "was not finished" in lines[0]


def test_an_empty_or_foreign_folder_is_set_aside(folder):
    (folder / "9").mkdir()
    (folder / "notes").mkdir()
    lines = []
    assert checkpoints.load(folder, lines.append)[0] == 3
    assert len(lines) == 1
    assert (folder / "damaged-0-9").exists()
    assert (folder / "notes").exists()


def test_a_missing_folder_holds_no_checkpoint(tmp_path):
    assert checkpoints.load(tmp_path / "nothing", print) is None
    assert checkpoints.read(tmp_path / "nothing") is None


# ---- a valid checkpoint in the wrong place -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["of another pack", "of another number"])
def test_a_checkpoint_that_belongs_elsewhere_is_damage(folder, how):
    other = folder.with_name("other")
    if how == "of another pack":
        checkpoints.save(other, 7, LEAVES)
        (other / "7").rename(folder / "7")
    else:
        shutil.copytree(folder / "3", folder / "7")
    lines = []
    assert checkpoints.load(folder, lines.append)[0] == 3
    assert "damaged-0-7" in lines[0]
    assert ("7 of pack other" if how == "of another pack" else "3 of pack pack") in lines[0]


def test_exchanged_packs_have_no_checkpoint(folder):
    other = folder.with_name("other")
    checkpoints.save(other, 3, LEAVES)
    folder.rename(folder.with_name("away"))
    other.rename(folder)
    with pytest.raises(DamagedFileError, match="is checkpoint 3 of pack other"):
        checkpoints.read(folder)


# ---- what is no damage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EIO, "I/O"), MemoryError()]
)
def test_a_file_that_cannot_be_read_now_is_not_damaged(folder, monkeypatch, error):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr(checkpoints, "digest", failing)
    for read in (checkpoints.read, lambda at: checkpoints.load(at, print)):
        with pytest.raises(type(error)):
            read(folder)
    monkeypatch.undo()
    assert [path.name for path in folder.iterdir()] == ["3"]
    assert checkpoints.read(folder)[0] == 3


def test_losing_a_race_for_the_same_checkpoint_is_no_error(folder, monkeypatch):
    """Without file locks two workers may train a pack: the other's checkpoint appears just before the rename."""
    theirs = folder.with_name("theirs") / "pack"
    checkpoints.save(theirs, 4, LEAVES)
    rename = os.rename

    def slow(made, path):
        if path == folder / "4":
            monkeypatch.undo()
            shutil.copytree(theirs / "4", path)
        rename(made, path)

    monkeypatch.setattr(os, "rename", slow)
    checkpoints.save(folder, 4, LEAVES)
    assert checkpoints.read(folder)[0] == 4
    assert [path.name for path in folder.iterdir()] == ["4"]


# ---- nothing else is deleted -------------------------------------------------------------------------------------


def test_only_own_checkpoints_are_deleted(folder, tmp_path):
    outside = tmp_path / "outside"
    shutil.copytree(folder / "3", outside)
    (folder / "1").symlink_to(outside, target_is_directory=True)
    (folder / "2").mkdir()
    (folder / "2" / "notes.txt").touch()
    (folder / "damaged-0-2").mkdir()
    checkpoints.save(folder, 4, LEAVES)
    assert {path.name for path in folder.iterdir()} == {"1", "2", "4", "damaged-0-2"}
    assert (outside / "checksums.json").exists()
    (outside / "checksums.json").unlink()  # an unfinished checkpoint, reached through a link
    (folder / "9").symlink_to(outside, target_is_directory=True)
    assert checkpoints.load(folder, [].append)[0] == 4
    assert any(outside.iterdir())


def test_what_a_killed_worker_left_is_deleted(folder):
    left = folder / f".7.{files._host()}-999999999-0123abcd.tmp"
    (left / "7.orbax-checkpoint-tmp").mkdir(parents=True)
    assert checkpoints.load(folder, print)[0] == 3
    assert not left.exists()


# ---- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lr[1e-3]", "a\\b", "{a,b}", "what?*", "ein Läuf"])
def test_any_folder_name_keeps_checkpoints(tmp_path, name):
    folder = tmp_path / name / "pack"
    checkpoints.save(folder, 1, LEAVES)
    checkpoints.save(folder, 2, LEAVES)
    number, leaves = checkpoints.read(folder)
    assert (number, leaves.keys()) == (2, LEAVES.keys())
    assert [path.name for path in folder.iterdir()] == ["2"]
