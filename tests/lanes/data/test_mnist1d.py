"""MNIST-1D from its package: the package's own arrays, cached, with no generator moved and nothing downloaded."""

import dataclasses
import random
import sys

import numpy as np
import pytest

from lanes import MNIST1D, RequestError
from lanes.data import mnist1d
from lanes.data.fingerprints import fingerprint
from lanes.data.loading import load_dataset

SMALL = MNIST1D(num_samples=400, valid_fraction=0.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path))


@pytest.fixture
def package():
    return pytest.importorskip("mnist1d.data", reason="the package mnist1d, of the extra papers, is not installed")


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_the_examples_are_the_packages(package, is_shuffled):
    settings = package.get_dataset_args()
    settings.num_samples, settings.train_split, settings.seed = 400, 0.25, 7
    settings.iid_noise_scale, settings.shuffle_seq = 0.1, is_shuffled
    made = package.make_dataset(settings)
    description = dataclasses.replace(
        SMALL, train_split=0.25, seed=7, iid_noise_scale=0.1, shuffled_positions=is_shuffled
    )
    data = load_dataset(description)
    assert (data.train.x.shape, data.test.x.shape, data.valid) == ((100, 40, 1), (300, 40, 1), None)
    for split, suffix in ((data.train, ""), (data.test, "_test")):
        np.testing.assert_array_equal(split.x[..., 0], made[f"x{suffix}"].astype(np.float32))
        np.testing.assert_array_equal(split.y, made[f"y{suffix}"])
    assert (data.task, data.outputs, float(data.offset), float(data.scale)) == ("classes", 10, 0, 1)


def test_global_generators_stay_where_they_are(package):
    del package
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = random.random(), np.random.rand()  # noqa: NPY002
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    load_dataset(SMALL)
    assert (random.random(), np.random.rand()) == expected  # noqa: NPY002


def test_it_is_made_once_and_without_the_network(package, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connects"))
    first = load_dataset(SMALL)
    monkeypatch.setattr(package, "make_dataset", lambda *_: pytest.fail("made again"))
    again = load_dataset(SMALL)
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert fingerprint(first) == fingerprint(again)
    noisy = load_dataset(dataclasses.replace(SMALL, label_noise=0.5))
    np.testing.assert_array_equal(noisy.clean, first.train.y)
    assert 0.35 < np.mean(noisy.train.y != noisy.clean) < 0.55  # in expectation 0.45
    np.testing.assert_array_equal(noisy.test.y, first.test.y)


def test_every_field_changes_the_data(package):
    del package
    before = fingerprint(load_dataset(MNIST1D(num_samples=400)))
    other = {"shuffled_positions": True, "standardize": "global", "label_noise": 0.5, "train_split": 0.5}
    for field in dataclasses.fields(MNIST1D):
        value = getattr(MNIST1D(num_samples=400), field.name)
        changed = other[field.name] if field.name in other else value * 2 if isinstance(value, float) else value + 10
        description = dataclasses.replace(MNIST1D(num_samples=400), **{field.name: changed})
        assert fingerprint(load_dataset(description)) != before, field.name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_samples": 19}, "num_samples=19: must be at least 20"),
        ({"train_split": 1.0}, "train_split=1.0: must be between 0 and 1 and leave examples on both sides"),
        ({"train_split": 0.00001}, "must be between 0 and 1 and leave examples"),
        ({"seed": -1}, "seed=-1: must be from 0 to 4294967295"),
        ({"iid_noise_scale": -0.1}, "iid_noise_scale=-0.1: must be at least 0"),
        ({"final_seq_length": 1}, "final_seq_length=1: must be at least 2"),
        ({"standardize": "whiten"}, "standardize='whiten': must be one of global"),
        ({"valid_fraction": 1.0}, "valid_fraction=1.0: must be at least 0 and below 1"),
    ],
)
def test_fields_out_of_range_are_refused(package, fields, message):
    del package
    with pytest.raises(ValueError, match=message):
        load_dataset(dataclasses.replace(SMALL, **fields))


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    def missing(name):
        raise mnist1d.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(mnist1d.importlib.metadata, "version", missing)
    with pytest.raises(RequestError, match=r"needs the package mnist1d: pip install mnist1d, or .*papers") as error:
        load_dataset("mnist1d_generated")
    assert "\n" not in str(error.value)


def test_the_package_is_imported_only_to_generate(package, monkeypatch):
    del package
    load_dataset(SMALL)
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)  # importing it raises
    assert len(load_dataset(SMALL).train) == 320


@pytest.mark.slow
def test_it_is_the_set_that_its_authors_publish(package):
    """The prepared TFDS set, in another order."""
    del package
    try:
        published = load_dataset("mnist1d", valid_fraction=0.0)
    except RequestError as error:
        pytest.skip(f"missing on this machine: {error}")
    own = load_dataset(MNIST1D(valid_fraction=0.0))
    for split in ("train", "test"):
        (a, b), rows = (getattr(data, split) for data in (published, own)), []
        for part in (a, b):
            table = np.column_stack([part.y, part.x[..., 0]])
            rows.append(table[np.lexsort(np.round(table, 4).T)])
        np.testing.assert_allclose(*rows, atol=1e-4)
