"""Streamed batches equal resident ones, from any step on and within bounded memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lanes.data.array_cache import cached_arrays
from lanes.data.dataset import Split
from lanes.data.orders import epoch_order
from lanes.data.streams import RowReader, Stream

ROOT = Path(__file__).parents[3]
N, B = 103, 10


@pytest.fixture(scope="module", params=["memory", "mapped", "slice"])
def split(request, tmp_path_factory):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 255, (N, 4, 3, 1)).astype(np.uint8), random.integers(0, 5, N).astype(np.int32)
    if request.param == "memory":
        return Split(x, y)
    folder = tmp_path_factory.mktemp("arrays")
    extra = 7 if request.param == "slice" else 0
    np.save(folder / "x.npy", np.concatenate([x[:extra], x]))
    np.save(folder / "y.npy", np.concatenate([y[:extra], y]))
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy"]
    return Split(*(array[extra:] for array in arrays))


def resident(split, seeds, epoch):
    """The batches of training on a resident data set: [steps, S, B, ...]."""
    rows = np.stack([epoch_order(N, seed, epoch, B).reshape(-1, B) for seed in seeds], 1)
    return np.asarray(split.x)[rows], np.asarray(split.y)[rows]


def test_an_epoch_order_is_a_permutation_cut_to_whole_batches():
    order = epoch_order(N, 3, 5, B)
    assert (order.dtype, order.shape) == (np.int32, (100,))
    assert len(set(order.tolist())) == 100
    assert order.max() < N
    np.testing.assert_array_equal(order, epoch_order(N, 3, 5, B))
    np.testing.assert_array_equal(epoch_order(N, 3, 5)[:100], order)
    assert all((order != epoch_order(N, *other, B)).any() for other in [(3, 6), (4, 5), (5, 3)])
    with pytest.raises(ValueError, match="batch_size=104: must be from 1 to the number of training examples"):
        epoch_order(N, 0, 0, 104)


def test_over_many_epochs_all_examples_occur_equally_often():
    counts = np.bincount(np.concatenate([epoch_order(13, 0, epoch, 5) for epoch in range(2000)]), minlength=13)
    assert np.abs(counts / 2000 - 10 / 13).max() < 0.04


def test_streamed_batches_equal_resident_ones(split):
    seeds = (0, 7)
    batches = list(Stream(split, seeds, B).batches(epoch=2, epochs=2))
    assert len(batches) == 20
    for number, epoch in enumerate((2, 3)):
        x, y = resident(split, seeds, epoch)
        np.testing.assert_array_equal(np.stack([x for x, _ in batches[number * 10 :][:10]]), x)
        np.testing.assert_array_equal(np.stack([y for _, y in batches[number * 10 :][:10]]), y)


def test_resuming_continues_at_the_exact_batch(split):
    stream = Stream(split, (1,), B)
    whole, rest = list(stream.batches(epochs=2)), list(stream.batches(epoch=0, step=7, epochs=2))
    assert len(rest) == 13
    for (x, y), (x_rest, y_rest) in zip(whole[7:], rest):
        np.testing.assert_array_equal(x, x_rest)
        np.testing.assert_array_equal(y, y_rest)
    assert list(stream.batches(step=stream.steps)) == []


def test_no_block_spans_two_epochs(split):
    stream = Stream(split, (0, 1, 2), B, steps_at_once=4)
    blocks = list(stream.blocks(step=1, epochs=2))
    assert [len(x) for x, _ in blocks] == [4, 4, 1, 4, 4, 2]
    x, y = resident(split, (0, 1, 2), 0)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in blocks[:3]]), x[1:])
    np.testing.assert_array_equal(np.concatenate([y for _, y in blocks[:3]]), y[1:])


def test_an_abandoned_stream_ends(split):
    batches = Stream(split, (0,), B).batches(epochs=1000)
    next(batches)
    batches.close()


def test_rows_are_read_in_any_order_and_shape(split):
    rows = np.array([[5, 0, 102], [3, 3, 50]])
    np.testing.assert_array_equal(RowReader(split.x).rows(rows), np.asarray(split.x)[rows])
    np.testing.assert_array_equal(RowReader(split.y).rows(rows), np.asarray(split.y)[rows])


def test_too_small_a_buffer_and_wrong_sizes_are_refused(split):
    with pytest.raises(ValueError, match=r"buffer_bytes=100: must hold two items of 480 bytes .* raise it"):
        Stream(split, (0, 1, 2), B, buffer_bytes=100)
    with pytest.raises(ValueError, match="batch_size=104: must be from 1 to 103"):
        Stream(split, (0,), 104)
    with pytest.raises(ValueError, match="steps_at_once=0: must be at least 1"):
        Stream(split, (0,), B, steps_at_once=0)


MEASURE = """
import resource, sys
import numpy as np
from lanes.data.dataset import Split
from lanes.data.standardizing import standardization
from lanes.data.streams import Stream
x, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
for _ in Stream(Split(x[:4000], y[:4000]), (0,), 50, buffer_bytes=int(sys.argv[3])).batches(): pass
before = peak()
standardization(x, "global")
for _ in Stream(Split(x, y), (0,), 50, buffer_bytes=int(sys.argv[3])).batches(): pass
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_is_bounded_by_the_buffer_regardless_of_the_set(tmp_path, monkeypatch):
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path))

    def make(allocate):
        allocate("x", (20_000, 100, 100), np.uint8)[...] = 1
        allocate("y", (20_000,), np.int32)

    cached_arrays("large", {}, make)  # 200 MB
    files = [str(next(tmp_path.glob(f"arrays/large-*/{name}.npy"))) for name in "xy"]
    buffer_bytes = 8 << 20
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *files, str(buffer_bytes)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert int(done.stdout) < 50 << 20  # a quarter of the set
