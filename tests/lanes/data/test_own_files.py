"""Data from files of the user's own: a text, a table, a folder of images, and columns that say the split."""

import dataclasses
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lanes import Images, Labels, Numbers, Table, Text, split_by
from lanes.data.fingerprints import fingerprint
from lanes.data.loading import load_dataset

RANDOM = np.random.default_rng(0)
N = 60
FRAME = pd.DataFrame(
    {
        "id": np.arange(N),
        "a": RANDOM.normal(size=N),
        "b": RANDOM.integers(0, 9, N),
        "city": RANDOM.choice(["x", "y", "z"], N),
        "fold": ["train"] * 40 + ["val"] * 10 + ["Test"] * 10,
        "label": RANDOM.integers(0, 2, N),
        "name": np.where(RANDOM.integers(0, 2, N), "no", "yes"),
    }
)
MANY = ("id", "name", "city")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tables(folder):
    """One table in several files."""
    FRAME.to_csv("t.csv", index=False)
    FRAME.to_csv("t.tsv", index=False, sep="\t")
    FRAME.to_parquet("t.parquet")
    lacking = FRAME.copy()
    lacking.loc[[3, 55], "a"] = np.nan
    lacking.loc[5, "city"] = None
    lacking.to_csv("lacking.csv", index=False)
    FRAME.assign(a=np.nan, fold=["train", None] * 30).to_csv("empty_column.csv", index=False)
    nullable = FRAME.assign(a=FRAME["a"].astype("Float64"), b=FRAME["b"].astype("Int64"))
    nullable.to_parquet("nullable.parquet")
    (folder / "no_rows.csv").write_text("a,label\n")
    (folder / "nothing.csv").write_text("")
    (folder / "broken.parquet").write_bytes(b"PAR1junk")
    (folder / "book.xlsx").write_bytes(b"PK")
    return folder


# ---- columns of splits -------------------------------------------------------------------------------------------


def folds():
    return split_by(FRAME["fold"], FRAME[["a", "b"]], FRAME["label"])


def test_a_column_says_the_split(tables):  # noqa: ARG001
    from_files = [
        load_dataset(Table(f"t.{kind}", "label", split="fold", drop=MANY)) for kind in ("csv", "tsv", "parquet")
    ]
    arrays = load_dataset(folds)
    for data in (*from_files, arrays, load_dataset(Table("nullable.parquet", "label", split="fold", drop=MANY))):
        assert fingerprint(data) == fingerprint(arrays)
        assert {name: len(split) for name, split in data.splits().items()} == {"train": 40, "valid": 10, "test": 10}
    assert np.allclose(arrays.train.x, FRAME[["a", "b"]].to_numpy()[:40], atol=1e-6)
    assert np.allclose(arrays.offset, FRAME[["a", "b"]].to_numpy()[:40].mean(0), atol=1e-6)
    assert (arrays.test.y == FRAME["label"].to_numpy()[50:]).all()


def test_rows_may_lie_in_any_order_and_in_any_container():
    split = ["test", "train", "valid", "train"]
    for x in ([[1.0], [2.0], [3.0], [4.0]], np.arange(1.0, 5)[:, None], pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})):
        for y in ([0, 1, 0, 0], Labels(np.array([0, 1, 0, 0])), pd.Series([0, 1, 0, 0])):
            data = load_dataset(lambda: split_by(split, x, y))  # noqa: B023
            assert data.train.x[:, 0].tolist() == [2.0, 4.0]
            assert data.train.y.tolist() == [1, 0]
            assert (data.valid.x.item(), data.test.x.item()) == (3.0, 1.0)
    series = load_dataset(lambda: split_by(split, Numbers([[1.0], [1.0, 2.0], [3.0], [4.0]]), [0, 1, 0, 0]))
    assert series.train.x.shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (["train", "holdout"], "is 'holdout' in row 1; it must be train, valid or test"),
        (["train", None], "is None in row 1"),
        ([0, 1], "is 0 in row 0"),
        (["test", "test"], "no row for train"),
        (["train"], "x has 2 examples and split 1"),
        ([["train"], ["test"]], r"it must be \[N\]"),
    ],
)
def test_wrong_columns_of_splits_are_refused(split, message):
    with pytest.raises(ValueError, match=message):
        split_by(split, [[1.0], [2.0]], [0, 1])


def test_valid_is_cut_from_the_rest_where_it_is_asked_for():
    data = load_dataset(folds, valid_fraction=0.1)
    assert {name: len(split) for name, split in data.splits().items()} == {"train": 45, "valid": 5, "test": 10}


# ---- tables ------------------------------------------------------------------------------------------------------


def test_missing_numbers_become_those_of_the_training_rows(tables):  # noqa: ARG001
    data = load_dataset(Table("lacking.csv", "label", split="fold", drop=MANY, missing="median", standardize="none"))
    train = FRAME["a"].drop(index=3)[:39]
    assert data.train.x.shape == (40, 3)  # a, b and where a was missing
    assert data.train.x[3, 0] == pytest.approx(np.median(train))
    assert data.test.x[5, 0] == pytest.approx(np.median(train))
    assert np.flatnonzero(data.train.x[:, 2]).tolist() == [3]
    mean = load_dataset(Table("lacking.csv", "label", split="fold", drop=MANY, missing="mean", standardize="none"))
    assert mean.test.x[5, 0] == pytest.approx(train.mean())


def test_text_becomes_classes_and_categories(tables):  # noqa: ARG001
    table = Table(
        "lacking.csv", "name", split="fold", drop=("id", "a", "label"), categorical=("city",), standardize="none"
    )
    data = load_dataset(table)
    assert (data.task, data.classes, data.declared) == ("classes", ("no", "yes"), True)
    assert (data.train.y == (FRAME["name"] == "yes")[:40]).all()
    expected = np.stack([(FRAME["city"] == city) for city in "xyz"], 1).astype(float)
    expected[5] = 0
    assert (data.train.x[:, 1:] == expected[:40]).all() or (data.train.x[:, :3] == expected[:40]).all()


def test_without_a_column_rows_are_split_at_random_and_stratified(tables):  # noqa: ARG001
    data = load_dataset(Table("t.csv", "label", drop=(*MANY, "fold")))
    other = load_dataset(Table("t.csv", "label", drop=(*MANY, "fold"), split_seed=1))
    assert [len(split) for split in data.splits().values()] == [48, 6, 6]
    assert fingerprint(data) != fingerprint(other)
    assert data.task == "classes"
    assert load_dataset(Table("t.csv", "a", drop=(*MANY, "fold"))).task == "real"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            Table("lacking.csv", "label", split="fold", drop=MANY),
            "'a' is missing in 2 rows, row 3 the first: choose missing=",
        ),
        (Table("lacking.csv", "a", split="fold", drop=MANY), "target 'a' is missing in 2 rows"),
        (Table("empty_column.csv", "label", drop=(*MANY, "fold"), missing="mean"), "in all rows of the training split"),
        (Table("empty_column.csv", "label", split="fold", drop=MANY), "column 'fold' is nan in row 1"),
        (Table("t.csv", "label", split="b", drop=MANY), "column 'b' is .* it must be train, valid or test"),
        (Table("t.csv", "lable"), "no column 'lable': it has id, a, b"),
        (Table("t.csv", "label"), "column 'city' is .* name it in categorical=, or leave it out, drop=\\('city',\\)"),
        (Table("t.csv", "label", split="label"), "has two uses"),
        (Table("t.csv", "label", drop="id"), r"drop=\('id',\)"),
        (Table("t.csv", "label", drop=tuple(set(FRAME) - {"label"})), "no column left"),
        (Table("t.csv", "label", missing="zero"), "must be None, mean or median"),
        (Table("nothing.csv", "label"), "cannot be read as a table"),
        (Table("no_rows.csv", "label"), "has no rows"),
        (Table("broken.parquet", "label"), "cannot be read as a table"),
        (Table("book.xlsx", "label"), "read it in a function of your own"),
        (Table("absent.csv", "label"), "absent.csv is not there"),
        (Table(".", "label"), "is not a file"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(tables, table, message):  # noqa: ARG001
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(table)
    assert "\n" not in str(caught.value)


def test_labels_of_files_may_be_noisy(tables, images):  # noqa: ARG001
    for description in (Table("t.csv", "label", split="fold", drop=MANY), Images("plain")):
        clean, noisy = (load_dataset(dataclasses.replace(description, label_noise=rate)) for rate in (0.0, 0.8))
        assert 0 < (clean.train.y != noisy.train.y).mean() < 0.8
        assert (clean.test.y == noisy.test.y).all()
    with pytest.raises(ValueError, match=r"label_noise=0\.5: it draws from two classes"):
        load_dataset(Table("t.csv", "a", drop=(*MANY, "fold"), label_noise=0.5))


# ---- text --------------------------------------------------------------------------------------------------------

PROSE = "Zu viele Köche verderben den Brei.\n" * 60


def test_a_text_is_split_from_its_beginning_to_its_end(folder):
    (folder / "prose.txt").write_text(PROSE, encoding="utf-8")
    data = load_dataset(Text("prose.txt", sequence=8))
    assert (data.task, data.vocabulary, data.outputs) == ("tokens", tuple(sorted(set(PROSE))), len(set(PROSE)))
    first = "".join(data.vocabulary[token] for token in data.train.x[0])
    assert (first, "".join(data.vocabulary[token] for token in data.train.y[0])) == (PROSE[:8], PROSE[1:9])
    rest = len(PROSE) - round(len(PROSE) * 0.1)
    begin = "".join(data.vocabulary[token] for token in data.test.x[0])
    assert begin == PROSE[rest : rest + 8]
    assert len(load_dataset(Text("prose.txt", sequence=8), valid_fraction=0.0).splits()) == 2
    assert load_dataset(Text(folder / "prose.txt", sequence=8)).outputs == data.outputs


def test_texts_are_found_below_the_data_directory(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("data")
    (other / "prose.txt").write_text(PROSE, encoding="utf-8")
    with pytest.raises(ValueError, match=r"prose\.txt is not there"):
        load_dataset(Text("prose.txt"))
    assert load_dataset(Text("prose.txt"), data_dir=other).vocabulary
    (folder / "prose.txt").write_text("x" * 2000)
    assert load_dataset(Text("prose.txt"), data_dir=other).outputs == len(set(PROSE))


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (PROSE.encode("latin-1"), {}, "is not utf-8 text .byte 0xf6 at position 10.: state its encoding"),
        (PROSE.encode(), {"encoding": "klingon"}, "encoding='klingon' cannot be used"),
        (PROSE.encode(), {"encoding": "hex"}, "encoding='hex' cannot be used"),
        (b"", {}, "is empty"),
        (b"hello world", {}, "11 characters, 1 of them for test: sequence=64 needs at least 65"),
        (b"hello", {"test_fraction": 0.0, "valid_fraction": 0.0}, "5 characters, 5 of them for train"),
        (PROSE.encode(), {"sequence": 0}, "sequence=0: must be at least 1"),
        (PROSE.encode(), {"valid_fraction": 1.0}, "valid_fraction=1.0: must be"),
    ],
)
def test_wrong_texts_are_refused_in_one_line(folder, content, fields, message):
    (folder / "prose.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(Text("prose.txt", **fields))
    assert "\n" not in str(caught.value)


def test_what_is_no_regular_file_is_refused(folder):
    os.mkfifo(folder / "pipe.txt")
    for name in ("pipe.txt", "."):
        with pytest.raises(ValueError, match="is not a file"):
            load_dataset(Text(name))


def test_a_mark_of_the_encoding_is_no_character(folder):
    (folder / "prose.txt").write_bytes(b"\xef\xbb\xbf" + PROSE.encode())
    assert "\ufeff" not in load_dataset(Text("prose.txt")).vocabulary


# ---- images ------------------------------------------------------------------------------------------------------


def draw(path, size=(5, 4), mode="RGB", colour=0):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def images(folder):
    for number, name in enumerate(["cat", "dog"]):
        for i in range(10):
            draw(f"plain/{name}/{i}.png", colour=(100 * number, i, 3))
            draw(f"grey/{name}/{i}.JPG", mode="L", colour=i)
            draw(f"splits/train/{name}/{i}.png", colour=(number, i, 3))
            draw(f"splits/val/{name}/{i}.png", colour=(number, i, 4))
            draw(f"sizes/{name}/{i}.png", size=(5 + i, 4))
            draw(f"transparent/{name}/{i}.png", mode="RGBA")
            draw(f"wide/{name}/{i}.png", mode="I;16")
        (folder / "plain" / name / "notes.txt").write_text("no image")
    (folder / "plain" / ".cache").mkdir()
    draw("mixed/a/1.png")
    draw("mixed/a/2.png", mode="L", colour=7)
    draw("extra/train/a/1.png")
    draw("extra/test/b/1.png")
    draw("bare/1.png")
    draw("hollow/b/1.png")
    (folder / "hollow" / "a").mkdir()
    (folder / "broken" / "a").mkdir(parents=True)
    (folder / "broken" / "a" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    return folder


def test_class_folders_are_classes_and_pixels_are_bytes(images):  # noqa: ARG001
    data = load_dataset(Images("plain"))
    assert (data.classes, data.task) == (("cat", "dog"), "classes")
    assert [split.x.shape for split in data.splits().values()] == [(16, 4, 5, 3), (2, 4, 5, 3), (2, 4, 5, 3)]
    assert data.train.x.dtype == np.uint8
    assert all((x[..., 0] == 100 * y).all() for x, y in zip(data.train.x, data.train.y))
    assert np.bincount(data.train.y).tolist() == [8, 8]
    assert fingerprint(data) == fingerprint(load_dataset(Images("plain")))
    assert load_dataset(Images("grey")).train.x.shape == (16, 4, 5, 1)
    assert load_dataset(Images("plain"), valid_fraction=0.0).valid is None


def test_folders_of_splits_are_named(images):  # noqa: ARG001
    data = load_dataset(Images("splits", train="train", test="val"))
    assert [len(split) for split in data.splits().values()] == [18, 2, 20]
    assert (data.test.x[..., 2] == 4).all()
    data = load_dataset(Images("splits", train="train", valid="val", test_fraction=0.0))
    assert {name: len(split) for name, split in data.splits().items()} == {"train": 20, "valid": 20}


def test_images_are_resized_and_converted_where_that_is_stated(images):  # noqa: ARG001
    assert load_dataset(Images("sizes", size=(3, 2))).train.x.shape == (16, 3, 2, 3)
    assert load_dataset(Images("transparent", channels=3)).train.x.shape == (16, 4, 5, 3)
    data = load_dataset(Images("mixed", channels=1, valid_fraction=0.0, test_fraction=0.0))
    assert data.train.x[1].max() == 7


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (Images("sizes"), r"1.png has 4 × 6 pixels and sizes/cat/0.png 4 × 5: state size=\(4, 5\)"),
        (Images("transparent"), "mode RGBA: state channels=3"),
        (Images("wide"), "beyond 8 bits"),
        (Images("mixed"), "2.png is of mode L and mixed/a/1.png of RGB"),
        (Images("splits"), r"splits/train holds folders \(cat, dog\), .* train='train'"),
        (Images("extra", train="train", test="test"), "extra/test/b is a class of test and not of train"),
        (Images("bare"), "holds no class folders"),
        (Images("hollow"), "hollow/a holds no image"),
        (Images("broken"), "broken/a/1.png is no image|cannot be decoded"),
        (Images("absent"), "folder absent is not there"),
        (Images("plain/cat/0.png"), "is not a folder"),
        (Images("plain", train="absent"), "plain/absent cannot be read"),
        (Images("plain", size=(0, 1)), "must be height and width"),
        (Images("plain", channels=4), "must be 1 for grey or 3"),
        (Images("plain", standardize="white"), "must be one of"),
    ],
)
def test_wrong_folders_are_refused_in_one_line(images, description, message):  # noqa: ARG001
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(description)
    assert "\n" not in str(caught.value)
