import numpy as np
import pytest

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
    checkpoints.save(tmp_path / "other", 5, LEAVES)
    (tmp_path / "other" / "5").rename(folder / "5")
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
    assert not checkpoints.was_lost(folder)
    assert checkpoints.load(folder, [].append) is None
    assert checkpoints.was_lost(folder)


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
    assert not checkpoints.was_lost(tmp_path / "nothing")
