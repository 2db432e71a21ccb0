"""Digits, names, the user's own arrays, and the array cache."""

import concurrent.futures
import dataclasses
import errno
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lanes.data import digits
from lanes.data.array_cache import cached_arrays
from lanes.data.dataset import check_dataset, stratified_order
from lanes.data.loading import DATASETS, Dataset, Split, from_arrays, load_dataset
from lanes.data.standardizing import standardization
from lanes.data.tfds_records import find_prepared
from lanes.files import cache_dir

ROOT = Path(__file__).parents[3]


pytestmark = pytest.mark.usefixtures("folders")


def labels():
    return np.random.default_rng(0).integers(0, 3, 200)


# ---- digits


def test_digits_have_the_stated_splits_and_pixels():
    data = load_dataset("digits")
    assert [len(split) for split in data.splits().values()] == [1437, 180, 180]
    assert data.train.x.shape[1:] == (8, 8, 1)
    assert data.train.x.dtype == np.uint8
    assert (data.train.x.min(), data.train.x.max()) == (0, 16)
    assert (data.task, data.outputs, data.classes) == ("classes", 10, tuple("0123456789"))


def test_digits_contain_each_source_example_once_and_are_stratified():
    from sklearn.datasets import load_digits

    source = load_digits()
    data = load_dataset("digits")
    together = np.concatenate([split.x.reshape(len(split), -1) for split in data.splits().values()])
    assert sorted(map(bytes, together)) == sorted(map(bytes, source.data.astype(np.uint8)))
    for split in data.splits().values():
        expected = np.bincount(source.target) * len(split) / 1797
        assert np.abs(np.bincount(split.y) - expected).max() <= 1.5


@pytest.mark.slow
def test_digits_are_prepared_once_and_then_read_without_tfds(tmp_path):
    first = digits.prepare_digits(tmp_path)
    assert digits.prepare_digits(tmp_path) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]
    load_dataset("digits")
    program = (
        "import sys; from lanes.data.loading import load_dataset; load_dataset('digits');"
        "print([name for name in ('tensorflow_datasets', 'sklearn', 'tensorflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_digits_that_another_process_finished_first_are_kept(tmp_path, monkeypatch):
    rename = os.rename

    def overtaken(source, target):
        if Path(target) != tmp_path / "digits" / "1.0.0":
            return rename(source, target)  # a rename by TFDS itself
        shutil.copytree(source, target)
        raise OSError("directory not empty")

    monkeypatch.setattr(digits.os, "rename", overtaken)
    folder = digits.prepare_digits(tmp_path)
    assert folder.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]


@pytest.mark.slow
def test_digits_can_be_prepared_by_two_processes_at_once(tmp_path):
    program = f"from lanes.data.digits import prepare_digits; prepare_digits({str(tmp_path)!r})"
    both = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits"]
    assert len(list(find_prepared("digits", str(tmp_path)).glob("*.array_record*"))) == 3


def test_digits_are_those_of_scikit_learn_wherever_it_keeps_them(tmp_path, monkeypatch):
    """Its file where it is, one of another form, and none."""
    from sklearn.datasets import load_digits

    source = load_digits()
    for contents in (None, b"1,2\n", b"no numbers"):
        if contents is not None:
            (tmp_path / "file.gz").write_bytes(gzip.compress(contents))
            monkeypatch.setattr(digits, "SOURCE", tmp_path / "file.gz")
        images, labels = digits.source_digits()
        assert (images.shape, images.dtype, labels.dtype) == ((1797, 8, 8, 1), np.uint8, np.int64)
        np.testing.assert_array_equal(images[..., 0], source.images)
        np.testing.assert_array_equal(labels, source.target)
    (tmp_path / "file.gz").unlink()
    np.testing.assert_array_equal(digits.source_digits()[1], source.target)


@pytest.fixture
def blocker(tmp_path, monkeypatch):
    """A file where the folders for data would have to be."""
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("TFDS_DATA_DIR", str(file / "under_a_file"))
    monkeypatch.setenv("HOME", str(file))
    return file


def test_digits_need_no_folder_for_data(blocker, monkeypatch):
    monkeypatch.setenv("LANES_CACHE_DIR", str(blocker / "cache"))
    assert len(load_dataset("digits").train) == 1437


@pytest.mark.usefixtures("blocker")
def test_digits_are_prepared_in_the_cache_if_the_data_folder_cannot_be_written(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path / "cache"))
    folder = digits.prepared_digits(None)
    assert folder == tmp_path / "cache" / "tfds" / "digits" / "1.0.0"
    prepared = tfds.builder_from_directory(str(folder)).as_data_source(split="train")
    train = load_dataset("digits").train
    assert len(prepared) == len(train)
    for at in (0, 700, 1436):
        np.testing.assert_array_equal(prepared[at]["image"], train.x[at])
        assert prepared[at]["label"] == train.y[at]


def test_valid_fraction_leaves_the_test_split_of_digits_alone():
    data, other = load_dataset("digits"), load_dataset("digits", valid_fraction=0.25)
    assert (len(other.train), len(other.valid)) == (1617 - 404, 404)
    np.testing.assert_array_equal(data.test.x, other.test.x)
    assert load_dataset("digits", valid_fraction=0).valid is None
    again = load_dataset("digits", valid_fraction=0.25)
    np.testing.assert_array_equal(other.valid.x, again.valid.x)
    reseeded = dataclasses.replace(DATASETS["digits"], split_seed=1)
    assert (load_dataset(reseeded, valid_fraction=0.25).valid.x != other.valid.x).any()


def test_train_examples_are_nested_stratified_and_standardized_on_their_own():
    few, more = (load_dataset("digits", train_examples=n) for n in (50, 200))
    np.testing.assert_array_equal(few.train.x, more.train.x[:50])
    assert np.bincount(few.train.y).tolist() == pytest.approx([5] * 10, abs=1)
    offset, scale = standardization(few.train.x, "global")
    assert (few.offset, few.scale) == (offset, scale)
    with pytest.raises(ValueError, match="train_examples=0: must be from 1 to 1437"):
        load_dataset("digits", train_examples=0)


# ---- standardization


@pytest.mark.parametrize("how", ["global", "feature"])
def test_standardized_training_inputs_have_mean_0_and_deviation_1(how):
    x = (np.random.default_rng(0).normal(size=(500, 4)) * [1, 5, 0.1, 2] + [3, 1e4, 0, -2]).astype(np.float32)
    x[:, 3] = 7  # constant
    offset, scale = standardization(x, how)
    z = (x.astype(np.float64) - offset) * scale
    axis = 0 if how == "feature" else None
    np.testing.assert_allclose(z.mean(axis), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis), [1, 1, 1, 0] if how == "feature" else 1, atol=1e-3)
    assert offset.dtype == scale.dtype == np.float32


def test_standardization_reads_large_arrays_in_pieces():
    x = np.random.default_rng(0).integers(0, 255, (1000, 7, 3)).astype(np.uint8)
    whole = standardization(x, "global")
    np.testing.assert_allclose(standardization(x, "global", piece_bytes=100), whole, rtol=1e-6)
    np.testing.assert_allclose(whole, [x.mean(), 1 / x.std()], rtol=1e-6)


def test_unit_and_no_standardization():
    x = np.array([[0, 255]], np.uint8)
    offset, scale = standardization(x, "unit")
    np.testing.assert_allclose((x.astype(np.float32) - offset) * scale, [[0, 1]])
    assert [float(number) for number in standardization(x, "none")] == [0, 1]
    with pytest.raises(ValueError, match="standardize='feture': must be one of global"):
        standardization(x, "feture")


# ---- stratified orders


def test_every_prefix_of_a_stratified_order_has_the_classes_proportions():
    y = np.repeat([0, 1, 2], [600, 300, 100])
    order = stratified_order(y, seed=3)
    assert sorted(order) == list(range(1000))
    for n in (10, 57, 400, 999):
        assert np.abs(np.bincount(y[order[:n]], minlength=3) - n * np.array([0.6, 0.3, 0.1])).max() <= 3
    assert (stratified_order(y, seed=4) != order).any()


# ---- names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "unknown data set 'digit': did you mean 'digits'\\? valid: adding"),
        ("cifar10_jpg", "did you mean 'cifar10_jpeg'"),
        ("kmnist", "'kmnist' is not prepared in .*: run lanes prepare kmnist"),
        ("mnist", "'mnist' is not prepared in .*: run lanes prepare mnist"),
        ("../x", "must be a TFDS name"),
        (3, "data=3: must be a name"),
    ],
)
def test_wrong_names_are_refused_with_advice_in_one_line(name, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)


# ---- the user's own data


def my_arrays():
    return np.random.default_rng(0).normal(size=(200, 5)), labels()


def my_splits():
    x, y = my_arrays()
    return {"train": (x[:150], y[:150]), "test": (x[150:], y[150:])}


def my_dataset():
    return from_arrays(*my_arrays(), name="mine", valid_fraction=0.3, test_fraction=0.2, standardize="none")


def test_arrays_are_cut_80_10_10_stratified_and_typed():
    data = load_dataset(my_arrays)
    assert (data.name, data.task, data.outputs) == ("my_arrays", "classes", 3)
    assert [len(split) for split in data.splits().values()] == [160, 20, 20]
    assert (data.train.x.dtype, data.train.y.dtype) == (np.float32, np.int32)
    assert np.abs(np.bincount(data.test.y) - np.bincount(labels()) / 10).max() <= 1.5
    np.testing.assert_array_equal(data.train.x, load_dataset(my_arrays).train.x)


def test_splits_keep_their_rows_and_valid_fraction_makes_a_valid_split():
    data = load_dataset(my_splits)
    assert data.valid is None
    np.testing.assert_array_equal(data.test.y, labels()[150:])
    assert len(load_dataset(my_splits, valid_fraction=0.2).valid) == 30


def test_a_dataset_is_used_as_it_is():
    data = load_dataset(my_dataset)
    assert [len(split) for split in data.splits().values()] == [112, 48, 40]
    assert float(data.scale) == 1
    with pytest.raises(ValueError, match=r"valid_fraction=0\.1: my_dataset returns a Dataset"):
        load_dataset(my_dataset, valid_fraction=0.1)


def test_tasks_follow_from_the_targets():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    real = from_arrays(x, x[:, 0])
    assert (real.task, real.outputs, real.train.y.shape[1:]) == ("real", 1, (1,))
    assert from_arrays(x, x[:, :2]).outputs == 2
    binary = from_arrays(x, x[:, 0] > 0, task="binary")
    assert (binary.task, binary.outputs, binary.train.y.dtype) == ("binary", 1, np.float32)
    tokens = np.arange(500).reshape(50, 10) % 7
    text = from_arrays(tokens, tokens)
    assert (text.task, text.outputs, float(text.scale)) == ("tokens", 7, 1)
    assert from_arrays(x, np.eye(4)[labels()[:50]], task="multilabel").outputs == 4


def wrong_lengths():
    return np.zeros((10, 2)), np.zeros(9, int)


def not_finite():
    x = np.zeros((10, 2))
    x[4, 1] = np.nan
    return x, np.zeros(10, int)


def strings():
    return np.array([["a"]] * 10), np.arange(10)


def empty():
    return np.zeros((0, 2)), np.zeros(0, int)


def a_list():
    return [1, 2, 3]


def strange_split():
    return {"training": my_arrays()}


def unequal_features():
    x, y = my_arrays()
    return {"train": (x, y), "test": (x[:, :3], y)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong_lengths, "10 inputs but 9 targets; there must be as many of each"),
        (not_finite, r"inputs\[4, 1\] is nan; must be finite: fix it or drop the example"),
        (strings, r"x is <U1\[10, 1\]; must be an array of numbers"),
        (empty, "is empty; must hold at least one example|no training examples"),
        (a_list, "returned list; must return a Dataset, "),
        (strange_split, r"splits \['training'\]; must be train and"),
        (unequal_features, r"split test: inputs of shape \(3,\), must be \(5,\) as in train"),
    ],
)
def test_inconsistent_arrays_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(make)
    assert "\n" not in str(caught.value)


def test_a_label_beyond_the_outputs_is_refused():
    data = load_dataset(my_dataset)
    with pytest.raises(ValueError, match=r"label 2 found; labels must be 0 … 1"):
        check_dataset(dataclasses.replace(data, outputs=2))
    with pytest.raises(ValueError, match="task='clases' must be one of classes"):
        check_dataset(dataclasses.replace(data, task="clases"))


def test_the_examples_of_the_documentation_run():
    text = (ROOT / "docs" / "data.md").read_text()
    programs = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert len(programs) >= 3
    for program in programs:
        exec(compile(program, "docs/data.md", "exec"), {"__name__": "example"})


# ---- the array cache


def entry(name="entry", **key):
    made = []

    def make(allocate):
        made.append(1)
        allocate("a", (3, 2), np.float32)[...] = np.arange(6).reshape(3, 2)
        return {"task": "real"}

    arrays, notes = cached_arrays(name, key, make)
    return arrays["a"], notes, len(made)


def test_cached_arrays_are_made_once_and_read_only():
    first, second = entry(version=1), entry(version=1)
    assert (first[2], second[2], entry(version=2)[2]) == (1, 0, 1)
    assert isinstance(second[0], np.memmap)
    assert second[1] == {"task": "real"}
    np.testing.assert_array_equal(second[0], np.arange(6).reshape(3, 2))
    with pytest.raises(ValueError, match="read-only"):
        second[0][0, 0] = 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest"])
def test_a_damaged_entry_is_set_aside_and_made_again(damage, capsys):
    name = f"damaged_{damage}"
    entry(name)
    (folder,) = (cache_dir() / "arrays").glob(f"{name}-*")
    file = folder / ("manifest.json" if damage == "manifest" else "a.npy")
    content = bytearray(file.read_bytes())
    if damage == "delete":
        file.unlink()
    elif damage == "flip":
        content[-3] ^= 1
        file.write_bytes(content)
    else:
        file.write_bytes(content[:-9])
    array, _, made = entry(name)
    assert made == 1
    np.testing.assert_array_equal(array, np.arange(6).reshape(3, 2))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "is damaged" in lines[0]
    assert "set aside as" in lines[0]
    assert entry(name)[2] == 0


def test_a_failure_while_making_leaves_no_entry():
    def fails(allocate):
        allocate("a", (3,), np.float32)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        cached_arrays("failing", {}, fails)
    assert not [path for path in (cache_dir() / "arrays").iterdir() if path.name.startswith(("failing", ".making-"))]


def test_threads_that_make_the_same_entry_at_once_agree():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        arrays = [future.result()[0] for future in [pool.submit(entry, "together") for _ in range(8)]]
    for array in arrays:
        np.testing.assert_array_equal(array, np.arange(6).reshape(3, 2))
    assert len(list((cache_dir() / "arrays").glob("*together*"))) == 1


def test_without_a_writable_cache_arrays_are_made_in_memory(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path / "file" / "cache"))
    array, notes, made = entry()
    np.testing.assert_array_equal(array, np.arange(6).reshape(3, 2))
    assert (notes, made) == ({"task": "real"}, 1)
    assert "cannot be written" in capsys.readouterr().err


def test_on_a_full_disk_arrays_are_made_in_memory_with_a_message(monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    array, _, _ = entry("full")
    np.testing.assert_array_equal(array, np.arange(6).reshape(3, 2))
    assert "cannot hold the arrays (No space left on device)" in capsys.readouterr().err
    assert not [path for path in (cache_dir() / "arrays").iterdir() if path.name.startswith(("full", ".making-"))]


def test_leftovers_of_killed_processes_are_removed_after_a_day():
    old, new = cache_dir() / "arrays" / ".making-old", cache_dir() / "arrays" / ".making-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    entry("after_a_kill")
    assert (old.exists(), new.exists()) == (False, True)
    new.rmdir()


def test_the_cache_folder_follows_the_environment(monkeypatch):
    monkeypatch.delenv("LANES_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join("some", "cache"))
    assert cache_dir() == Path("some/cache/lanes")


def test_datasets_and_splits_are_what_the_engine_expects():
    assert [field.name for field in dataclasses.fields(Split)] == ["x", "y", "raw"]
    names = [field.name for field in dataclasses.fields(Dataset)]
    assert names[:10] == ["name", "version", "train", "valid", "test", "task", "outputs", "offset", "scale", "classes"]


def test_the_cache_may_be_deleted_at_any_time(tmp_path, monkeypatch):
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path / "cache"))
    before = load_dataset("digits")
    shutil.rmtree(tmp_path / "cache" / "arrays")
    after = load_dataset("digits")
    np.testing.assert_array_equal(after.train.x, before.train.x)
    assert len(after.train) == 1437
