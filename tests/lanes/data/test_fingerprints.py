"""Fingerprints: every change of an array's numbers, type, shape or order shows; its layout in memory does not."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lanes import Blobs, from_arrays
from lanes.data.array_cache import MANIFEST, cached_arrays
from lanes.data.fingerprints import difference, digest, fingerprint, parts_of
from lanes.data.loading import load_dataset
from lanes.files import cache_dir

TYPES = st.sampled_from(["u1", "i4", "f4", "f2", "?", "i2"])
SHAPES = arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)
ARRAYS = arrays_of.arrays(TYPES, SHAPES)
NUMBERS = np.random.default_rng(0).normal(size=(40, 3))


def test_a_digest_is_sha256_of_type_shape_and_little_endian_bytes():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = hashlib.sha256(b"<f4 [2, 3]" + array.astype("<f4").tobytes()).hexdigest()
    assert digest(array) == expected


@settings(max_examples=40)
@given(ARRAYS, st.data())
def test_a_change_of_one_bit_changes_the_digest(array, data):
    changed = array.copy()
    flat = changed.reshape(-1).view(np.uint8)
    at = data.draw(st.integers(0, flat.size - 1))
    flat[at] ^= 1 if array.dtype == bool else 1 << data.draw(st.integers(0, 7))
    assert digest(changed) != digest(array)


@settings(max_examples=40)
@given(ARRAYS, st.data())
def test_another_type_shape_or_order_changes_the_digest(array, data):
    other = {"u1": "i1", "i4": "f4", "f4": "i4", "f2": "i2", "b1": "u1", "i2": "f2"}[array.dtype.str[1:]]
    assert digest(array.view(other)) != digest(array)
    assert digest(array[None]) != digest(array)
    assert digest(np.concatenate([array, array[:1]])) != digest(array)
    order = data.draw(st.permutations(range(len(array))))
    permuted = array[list(order)]
    assert (digest(permuted) == digest(array)) == (permuted.tobytes() == array.tobytes())


@settings(max_examples=40)
@given(ARRAYS)
def test_the_layout_does_not_change_the_digest(array):
    spread = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    spread[::2] = array
    alike = [np.asfortranarray(array), array.astype(array.dtype.newbyteorder(">")), spread[::2], array[::-1][::-1]]
    assert {digest(other) for other in alike} == {digest(array)}


def test_large_arrays_are_read_in_pieces(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (3000, 30, 30), dtype=np.uint8)  # 2.7 MB, not whole pieces
    np.save(tmp_path / "a.npy", array)
    assert digest(np.load(tmp_path / "a.npy", mmap_mode="r")) == digest(array)
    assert digest(array) == hashlib.sha256(b"|u1 [3000, 30, 30]" + array.tobytes()).hexdigest()
    array[-1, -1, -1] ^= 1
    assert digest(np.load(tmp_path / "a.npy", mmap_mode="r")) != digest(array)


def test_integers_of_64_bits_count_as_those_of_the_device():
    assert digest(np.arange(5)) == digest(np.arange(5, dtype=np.int32))
    assert digest(np.arange(5, dtype=np.int16)) != digest(np.arange(5, dtype=np.int32))


def test_a_cached_array_brings_its_digest_and_its_views_do_not():
    array = np.arange(12, dtype=np.int32).reshape(4, 3)

    def make(allocate):
        allocate("a", array.shape, array.dtype)[...] = array

    for _ in range(2):  # made, then read
        cached = cached_arrays("fingerprinted", {}, make)[0]["a"]
        assert cached.digest == digest(cached) == digest(array)
        assert not hasattr(cached[:2], "digest")
        assert digest(cached[:2]) == digest(array[:2])
        assert digest(cached + 1) == digest(array + 1)
        assert digest(np.asarray(cached)) == digest(array)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_digest_in_the_cache_is_not_used(damage):
    array, name = np.arange(12, dtype=np.int32), f"digest_{damage}"

    def make(allocate):
        allocate("a", array.shape, array.dtype)[...] = array

    cached_arrays(name, {}, make)
    (file,) = (cache_dir() / "arrays").glob(f"{name}-*/{MANIFEST}")
    manifest = json.loads(file.read_text())
    manifest["digests"] = {**manifest["digests"], "a": "0" * 64} if damage == "changed" else {}
    file.write_text(json.dumps(manifest))
    cached = cached_arrays(name, {}, make)[0]["a"]
    assert not hasattr(cached, "digest")
    assert digest(cached) == digest(array)


def test_a_fingerprint_has_a_part_for_each_split_and_the_form():
    data = load_dataset(Blobs(n=60))
    parts = parts_of(fingerprint(data))
    assert [*parts] == ["train", "valid", "test", "form"]
    assert len({*parts.values()}) == 4
    assert fingerprint(load_dataset(Blobs(n=60))) == fingerprint(data)
    without = dataclasses.replace(data, valid=None)
    assert parts_of(fingerprint(without)) == {name: parts[name] for name in ("train", "test", "form")}


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "multilabel"},
        {"outputs": 9},
        {"classes": ("a", "b")},
        {"classes": ("b", "a")},
        {"vocabulary": ("a",)},
        {"standardize": "unit"},
        {"standardize": None},
        {"standardize": None, "scale": np.float32(2)},
    ],
    ids=str,
)
def test_the_form_covers_what_is_beside_the_arrays(changes):
    data = load_dataset(Blobs(n=60))
    assert difference(fingerprint(dataclasses.replace(data, **changes)), fingerprint(data)).startswith("form ")


def test_offsets_of_the_users_own_count_and_computed_ones_follow_from_the_data():
    data = load_dataset(Blobs(n=60, standardize="feature"))
    nudged = dataclasses.replace(data, offset=np.nextafter(data.offset, np.float32(9)))
    assert fingerprint(nudged) == fingerprint(data)
    own, moved = (dataclasses.replace(one, standardize=None) for one in (data, nudged))
    assert fingerprint(own) != fingerprint(moved)


def test_names_and_counts_of_numpy_types_are_those_of_python():
    data = load_dataset(Blobs(n=60))
    other = dataclasses.replace(data, outputs=np.int64(data.outputs), classes=tuple(np.array(["a", "b"])))
    assert fingerprint(other) == fingerprint(dataclasses.replace(data, classes=("a", "b")))


def test_an_origin_stands_for_the_arrays():
    data = load_dataset(Blobs(n=60))
    derived = dataclasses.replace(data, origin="net 3f")
    rounded = dataclasses.replace(derived, train=dataclasses.replace(data.train, x=data.train.x + 1e-6))
    assert fingerprint(rounded) == fingerprint(derived) != fingerprint(data)
    assert fingerprint(dataclasses.replace(derived, origin="net 4a")) != fingerprint(derived)


def test_what_differs_is_said_in_words():
    y = np.arange(40) % 2
    data, other = (from_arrays(x, y, standardize="none") for x in (NUMBERS, NUMBERS + 1))
    now, before = fingerprint(other), fingerprint(data)
    new, old = (parts_of(text)["train"][:8] for text in (now, before))
    assert difference(now, before) == f"train {new}, before {old}; also valid, test"
    assert difference(now, now) == ""
    assert difference(now, before, ("form",)) == ""
    assert difference(now, before, ("test", "form")).startswith("test ")
    without = fingerprint(dataclasses.replace(data, valid=None))
    assert difference(without, before) == f"valid missing, before {parts_of(before)['valid'][:8]}"
    assert difference(without, before, ("valid",)) == ""


@pytest.mark.parametrize("text", [None, 3.0, "", "train:12", "form", "train:0123456789abcdef", "form:123 train:45"])
def test_what_is_no_fingerprint_has_no_parts(text):
    assert parts_of(text) == {}
