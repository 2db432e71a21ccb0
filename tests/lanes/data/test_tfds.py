"""TFDS sets: a builder of our own, damaged files, and the contents of those prepared sets that are available."""

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import lanes
from lanes import Run
from lanes.data import readings, tfds_preparing
from lanes.data.characters import UNKNOWN, encode, next_tokens, padded_texts
from lanes.data.digits import prepare_digits
from lanes.data.fingerprints import difference, fingerprint
from lanes.data.loading import load_dataset
from lanes.data.tfds import TFDS
from lanes.data.tfds_preparing import Plan, plan, prepare
from lanes.errors import RequestError
from nets import MLP

ROOT = Path(__file__).parents[3]
SHARED = [Path(folder) for folder in (os.environ.get("TFDS_DATA_DIR"), ROOT.parent / "shared" / "tfds") if folder]


pytestmark = pytest.mark.usefixtures("folders")


def shared(name):
    """The folder with a prepared set; skips the test if there is none."""
    for folder in SHARED:
        if (folder / name).is_dir():
            return str(folder)
    pytest.skip(f"{name} is not prepared in $TFDS_DATA_DIR, nor in shared/tfds beside the checkout")


# ---- a builder of our own, prepared and read without TensorFlow


@functools.cache  # TFDS refuses a second builder of one name
def waves_builder():
    import tensorflow_datasets as tfds

    class Waves(tfds.core.GeneratorBasedBuilder):
        """Series, vectors, a class, a number, and a text."""

        VERSION = tfds.core.Version("1.2.0")
        code_path = None

        def _info(self):
            features = {
                "series": tfds.features.Tensor(shape=(6, 1), dtype=np.float32),
                "vector": tfds.features.Tensor(shape=(4,), dtype=np.float64),
                "pixels": tfds.features.Tensor(shape=(2, 2, 1), dtype=np.uint8),
                "ids": tfds.features.Tensor(shape=(5,), dtype=np.int64),
                "label": tfds.features.ClassLabel(names=["flat", "steep", "odd"]),
                "height": tfds.features.Scalar(dtype=np.float32),
                "remark": tfds.features.Text(),
                "ragged": tfds.features.Tensor(shape=(None,), dtype=np.float32),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("series", "label")
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            return {"train": self._generate_examples(0, 90), "test": self._generate_examples(90, 120)}

        def _generate_examples(self, start, stop):
            for i in range(start, stop):
                yield (
                    i,
                    {
                        "series": np.arange(i, i + 6, dtype=np.float32)[:, None],
                        "vector": np.full(4, i, np.float64),
                        "pixels": np.full((2, 2, 1), i, np.uint8),
                        "ids": np.arange(5) + i % 3,
                        "label": i % 3,
                        "height": i / 2,
                        "remark": f"No {i}: é",
                        "ragged": np.zeros(i % 2 + 1, np.float32),
                    },
                )

    Waves.name = "waves"
    return Waves


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("waves")
    shards = tfds.download.DownloadConfig(num_shards=3)
    waves_builder()(data_dir=str(folder), file_format="array_record").download_and_prepare(download_config=shards)
    assert len(list((folder / "waves" / "1.2.0").glob("*train*"))) == 3
    return str(folder)


def test_a_prepared_set_is_found_by_name_and_split_stratified(waves):
    data = load_dataset("waves", data_dir=waves)
    assert (data.name, data.version, data.task, data.outputs) == ("waves", "1.2.0", "classes", 3)
    assert data.classes == ("flat", "steep", "odd")
    assert [len(split) for split in data.splits().values()] == [81, 9, 30]
    assert np.bincount(data.valid.y).tolist() == [3, 3, 3]
    rows = np.concatenate([data.train.x[:, 0, 0], data.valid.x[:, 0, 0]])
    assert sorted(rows) == list(range(90))
    for split in data.splits().values():
        np.testing.assert_array_equal(split.y, split.x[:, 0, 0] % 3)
    assert load_dataset("waves:1.2.0", data_dir=waves).name == "waves"


@pytest.mark.slow
def test_runs_on_a_set_in_a_named_folder_are_identified_trained_and_restored(waves, tmp_path):
    data = TFDS("waves", inputs="vector", target="label", valid_fraction=0.2)
    run = Run(data=data, net=MLP(widths=(2,)), batch_size=30, epochs=1)
    trained = lanes.train(run, tmp_path, data_dir=waves, devices=1)
    run_id = lanes.identify(run, data_dir=waves)
    assert trained.results.name == run_id
    _, variables = lanes.restore(tmp_path, run_id, data_dir=waves)
    jax.tree.map(np.testing.assert_array_equal, variables, trained.variables)
    with pytest.raises(RequestError, match="waves"):
        lanes.restore(tmp_path, run_id)


def test_the_fingerprint_is_of_the_records_and_not_of_their_files(waves, tmp_path):
    before = fingerprint(load_dataset("waves", data_dir=waves))
    copy = Path(shutil.copytree(waves, tmp_path / "copy"))
    first, second, _ = sorted((copy / "waves" / "1.2.0").glob("*train*"))
    first.touch()  # decoded again
    assert fingerprint(load_dataset("waves", data_dir=str(copy))) == before
    first.rename(copy / "first")
    second.rename(first)
    (copy / "first").rename(second)  # files of as many records, so that none counts as damaged
    differs = difference(fingerprint(load_dataset("waves", data_dir=str(copy))), before)
    assert differs.startswith("train ")
    assert "test" not in differs


def test_splits_use_the_syntax_of_tfds(waves):
    stored = load_dataset(TFDS("waves", valid_fraction=0.0), data_dir=waves).train.x[:, 0, 0]
    data = load_dataset(
        TFDS("waves", train="train[:70]", valid="train[70:]+test[50%:]", test="test[:10]"), data_dir=waves
    )
    np.testing.assert_array_equal(data.train.x[:, 0, 0], stored[:70])
    np.testing.assert_array_equal(data.valid.x[:20, 0, 0], stored[70:])
    assert (len(data.valid), len(data.test)) == (35, 10)
    again = load_dataset(TFDS("waves", train="train[:70]", valid="train[70:]"), valid_fraction=0.5, data_dir=waves)
    assert (len(again.train), len(again.valid)) == (45, 45)
    with pytest.raises(
        RequestError, match=r"split 'trian' cannot be read .* splits are test, train|splits are train, test"
    ):
        load_dataset(TFDS("waves", train="trian"), data_dir=waves)
    with pytest.raises(RequestError, match="cannot be read"):
        load_dataset(TFDS("waves", train="train[:x]"), data_dir=waves)


def test_features_become_dtypes_that_nets_take(waves):
    def load(inputs, target):
        return load_dataset(TFDS("waves", inputs=inputs, target=target), data_dir=waves)

    vector = load("vector", "height")
    assert (vector.task, vector.outputs, vector.train.x.dtype) == ("real", 1, np.float32)
    np.testing.assert_allclose(vector.train.y[:, 0], vector.train.x[:, 0] / 2)
    assert vector.offset.shape == (4,)
    pixels = load("pixels", "label")
    assert (pixels.train.x.dtype, pixels.train.x.shape[1:], pixels.offset.shape) == (np.uint8, (2, 2, 1), ())
    assert load("vector", "vector").outputs == 4
    tokens = load("ids", "ids")
    assert (tokens.task, tokens.outputs, tokens.train.y.dtype, float(tokens.scale)) == ("tokens", 7, np.int32, 1)
    ids = load("ids", "label")
    assert (ids.train.x.dtype, ids.train.raw.dtype, ids.standardize, ids.tokens) == (np.float32, np.int64, "feature", 0)
    seen = (ids.train.x - ids.offset) * ids.scale
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-5)
    np.testing.assert_array_equal(readings.as_tokens(ids).train.x, ids.train.raw)
    with pytest.raises(RequestError, match="inputs are tokens, which are not standardized"):
        load_dataset(TFDS("waves", inputs="ids", target="ids", standardize="global"), data_dir=waves)
    with pytest.raises(RequestError, match=r"'ragged' is .*; must be numbers of one fixed shape, or text"):
        load("ragged", "label")
    with pytest.raises(RequestError, match="target='lable'; set inputs and target to two of"):
        load("series", "lable")


def test_text_with_classes_becomes_padded_tokens(waves):
    data = load_dataset(TFDS("waves", inputs="remark", target="label", sequence=12), data_dir=waves)
    assert (data.task, data.outputs, data.train.x.shape) == ("classes", 3, (81, 12))
    for tokens, label in zip(data.test.x, data.test.y):
        text = "".join(data.vocabulary[token] for token in tokens)
        number = int(text.removeprefix("No ").partition(":")[0])
        assert text == f"No {number}: é"
        assert number % 3 == label


def test_shuffled_positions_apply_one_permutation_to_all_examples(waves):
    plain = load_dataset(TFDS("waves", valid_fraction=0.0), data_dir=waves)
    shuffled = load_dataset(TFDS("waves", valid_fraction=0.0, shuffled_positions=True), data_dir=waves)
    order = (shuffled.train.x[0] - plain.train.x[0].min()).astype(int)[:, 0]
    assert sorted(order) == list(range(6))
    assert list(order) != list(range(6))
    for name in ("train", "test"):
        np.testing.assert_array_equal(shuffled.splits()[name].x, plain.splits()[name].x[:, order])


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (TFDS("waves", standardize="globl"), "standardize='globl': must be None or one of global"),
        (TFDS("waves", valid_fraction=1.0), r"valid_fraction=1\.0: must be at least 0 and below 1"),
        (TFDS("waves", sequence=0), "sequence=0: must be at least 1"),
        (TFDS("waves:9.9.9"), "'waves:9.9.9' is not prepared in .*: run lanes prepare waves:9.9.9"),
    ],
)
def test_wrong_fields_are_refused(description, message, waves):
    with pytest.raises(ValueError, match=message):
        load_dataset(description, data_dir=waves)


# ---- damaged files


@pytest.fixture
def broken(tmp_path):
    """A prepared set to break: (data folder, its training file)."""
    folder = prepare_digits(tmp_path)
    return str(tmp_path), folder / "digits-train.array_record-00000-of-00001"


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def truncate(file):
    file.write_bytes(file.read_bytes()[:70_000])


def swap(file):
    shutil.copy(file.with_name(file.name.replace("train", "test")), file)


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink, swap])
def test_a_damaged_record_file_is_named_in_one_line(broken, damage):
    data_dir, file = broken
    assert len(load_dataset(TFDS("digits"), data_dir=data_dir).train) == 1437
    damage(file)
    with pytest.raises(RequestError, match=f"record file .*{file.name} is damaged: .*lanes prepare digits") as caught:
        load_dataset(TFDS("digits"), data_dir=data_dir)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_damaged_metadata_is_reported_in_one_line(broken, name):
    data_dir, file = broken
    file.with_name(name).write_text("{")
    with pytest.raises(RequestError, match="metadata cannot be read") as caught:
        load_dataset(TFDS("digits"), data_dir=data_dir)
    assert "\n" not in str(caught.value)


def test_an_unreadable_image_names_its_file(tmp_path):
    folder = Path(shared("mnist")) / "mnist" / "3.0.1"
    shutil.copytree(folder, tmp_path / "mnist" / "3.0.1")
    copy = tmp_path / "mnist" / "3.0.1"
    for path in copy.iterdir():
        path.chmod(0o644)
    info = (copy / "features.json").read_text().replace('"28"', '"27"')
    (copy / "features.json").write_text(info)
    with pytest.raises(
        RequestError, match=r"record file .*mnist-train.* is damaged: an example has shape \(28, 28, 1\)"
    ):
        load_dataset(TFDS("mnist", train="train[:10]"), data_dir=str(tmp_path))


# ---- text


def test_targets_of_windows_are_the_next_characters():
    arrays, vocabulary = next_tokens({"train": "hello world", "valid": "low"}, 2, 0.0)
    assert vocabulary == tuple(" dehlorw")
    x, y = arrays["train"]
    assert ["".join(vocabulary[token] for token in row) for row in x] == ["he", "ll", "o ", "wo", "rl"]
    assert ["".join(vocabulary[token] for token in row) for row in y] == ["el", "lo", " w", "or", "ld"]
    assert arrays["valid"][0].shape == (1, 2)


def test_characters_missing_in_training_share_the_last_token():
    arrays, vocabulary = next_tokens({"train": "aabb", "valid": "abcé"}, 1, 0.0)
    assert vocabulary == ("a", "b", UNKNOWN)
    assert arrays["valid"][1].ravel().tolist() == [1, 2, 2]
    assert encode("b😀a", vocabulary, 2).tolist() == [1, 2, 0]
    inputs, names = padded_texts({"train": ["ab", "b"], "test": ["cabab"]}, 3)
    assert names == ("", "a", "b")
    assert inputs["train"].tolist() == [[1, 2, 0], [2, 0, 0]]
    assert inputs["test"].tolist() == [[0, 1, 2]]


def test_the_validation_part_of_a_text_is_its_end():
    arrays, _ = next_tokens({"train": "ab" * 50}, 3, 0.2)
    assert [len(x) for x, _ in arrays.values()] == [79 // 3, 19 // 3]
    with pytest.raises(RequestError, match="text of valid has 20 characters; sequence=20 needs at least 21"):
        next_tokens({"train": "ab" * 50}, 20, 0.2)


# ---- contents of the prepared sets


def test_tiny_shakespeare_has_its_sizes_and_vocabulary():
    folder = shared("tiny_shakespeare")
    data = load_dataset("tiny_shakespeare", data_dir=folder)
    assert (data.task, data.outputs, data.test) == ("tokens", 65, None)
    assert data.train.x.shape == (1_003_853 // 64, 64)
    assert data.valid.x.shape == ((2 * 55_770 - 1) // 64, 64)  # validation and test joined
    np.testing.assert_array_equal(data.train.y.ravel()[:-1], data.train.x.ravel()[1:])
    assert "".join(data.vocabulary[token] for token in data.train.x[0][:14]) == "First Citizen:"
    text = TFDS("tiny_shakespeare", train="train+validation+test", valid_fraction=0.1, sequence=128)
    assert len(load_dataset(text, data_dir=folder).valid) == (111_539 - 1) // 128


def test_mnist1d_has_its_sizes_and_a_channel():
    data = load_dataset("mnist1d", data_dir=shared("mnist1d"))
    assert [split.x.shape for split in data.splits().values()] == [(3600, 40, 1), (400, 40, 1), (1000, 40, 1)]
    assert np.bincount(data.valid.y).min() >= 39
    assert float(np.std(data.train.x * data.scale)) == pytest.approx(1, abs=1e-4)


def test_images_equal_those_read_by_tfds():
    import tensorflow_datasets as tfds

    folder = shared("cifar10_jpeg")
    data = load_dataset(
        TFDS("cifar10_jpeg", train="train[100:400]", valid="train[:50]", test="test[-9:]"), data_dir=folder
    )
    builder = tfds.builder_from_directory(f"{folder}/cifar10_jpeg/1.0.0")
    for split, rows in ((data.train, "train[100:400]"), (data.test, "test[-9:]")):
        for image, label, row in zip(split.x, split.y, builder.as_data_source(split=rows), strict=True):
            np.testing.assert_array_equal(image, row["image"])
            assert label == row["label"]
    assert data.classes[:2] == ("airplane", "automobile")


@pytest.mark.slow
def test_mnist_is_complete_and_reloads_within_a_second():
    folder = shared("mnist")
    data = load_dataset("mnist", data_dir=folder)
    assert [len(split) for split in data.splits().values()] == [54_000, 6_000, 10_000]
    assert np.bincount(data.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(np.concatenate([data.train.y, data.valid.y]))[:3].tolist() == [5923, 6742, 5958]
    pixels = np.concatenate([data.train.x, data.valid.x])
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=1e-4)
    start = time.perf_counter()
    load_dataset("mnist", data_dir=folder)
    assert time.perf_counter() - start < 1


# ---- preparing


def run_prepare(*arguments, data_dir):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TFDS_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "lanes.cli.main", "prepare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


@pytest.mark.slow
def test_the_command_prepares_digits_without_a_download(tmp_path):
    done = run_prepare("digits", data_dir=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "digits" / "1.0.0" / "dataset_info.json").is_file()


def test_generated_and_prepared_sets_need_no_plan(waves):
    assert plan("spirals", None) is None
    assert plan("waves", waves) == Path(waves) / "waves" / "1.2.0"


def test_a_wrong_name_and_a_set_without_builder_are_refused(tmp_path):
    with pytest.raises(RequestError, match="unknown data set 'mnst': did you mean 'mnist'"):
        plan("mnst", str(tmp_path))
    with pytest.raises(RequestError, match="'mnist1d' has no builder in TFDS and cannot be prepared here: copy"):
        plan("mnist1d", str(tmp_path))


def test_a_plan_names_every_download_and_downloads_nothing(tmp_path):
    pytest.importorskip(
        "importlib_resources", reason="TFDS 4.9.10 needs it for its own builders, and does not install it"
    )
    lines = plan("fashion_mnist", str(tmp_path)).lines()
    assert "would download 29.4 MiB" in lines[0]
    assert sum("train-images-idx3-ubyte.gz  26,421,880 bytes" in line for line in lines) == 1
    assert list(tmp_path.iterdir()) == []


def test_preparing_extracts_into_a_folder_of_the_set(tmp_path, monkeypatch, capsys):
    import tensorflow_datasets as tfds

    builder = waves_builder()(data_dir=str(tmp_path), file_format="array_record")
    received = {}
    original = tfds.download.DownloadConfig
    monkeypatch.setattr(
        tfds.download, "DownloadConfig", lambda **settings: received.update(settings) or original(**settings)
    )
    prepared_plan = Plan(builder, tmp_path, {}, 0, needs_tensorflow=False)
    assert prepare(prepared_plan) == tmp_path / "waves" / "1.2.0"
    assert received["extract_dir"] == str(tmp_path / "downloads" / "extracted" / "waves")
    assert "waves/1.2.0: prepared in" in capsys.readouterr().out
    tensorflow = types.SimpleNamespace(
        config=types.SimpleNamespace(set_visible_devices=lambda *seen: received.update(seen=seen))
    )
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    tfds_preparing._hide_gpus()
    assert (received["seen"], os.environ["CUDA_VISIBLE_DEVICES"]) == (([], "GPU"), "")

    def unreachable(**_):
        raise AssertionError("a data set tried to reach the network")

    broken = types.SimpleNamespace(info=builder.info, download_and_prepare=unreachable)
    with pytest.raises(
        RequestError, match="waves: preparing failed: a data set tried to reach the network; repeat the command"
    ):
        prepare(dataclasses.replace(prepared_plan, builder=broken))
    monkeypatch.setattr(tfds_preparing, "has_tensorflow", lambda: False)
    with pytest.raises(RequestError, match="waves: needs TensorFlow to be prepared: pip install"):
        prepare(dataclasses.replace(prepared_plan, needs_tensorflow=True))
