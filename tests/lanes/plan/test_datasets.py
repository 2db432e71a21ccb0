"""Data sets of a plan: the user's own code must give the same arrays each time."""

import dataclasses
import functools
import random
import time

import numpy as np
import pytest

from lanes import Blobs, RequestError, Run
from lanes.data.fingerprints import parts_of
from lanes.data.loading import from_arrays
from lanes.plan import datasets
from lanes.plan.datasets import Datasets
from nets import MLP

RUN = Run(net=MLP(widths=(4,)), batch_size=8, epochs=1)
STATE = {"calls": 0}
SHARED = np.zeros((60, 2))
ONCE = iter([0])
GENERATOR = np.random.default_rng(0)


def arrays(generator):
    x = generator.normal(size=(60, 2))
    return x, (x.sum(1) > 0).astype(int)


def seeded():
    STATE["calls"] += 1
    return arrays(np.random.default_rng(0))


def slow():
    STATE["calls"] += 1
    time.sleep(0.02)
    return arrays(np.random.default_rng())


def global_numpy():
    x = np.random.normal(size=(60, 2))  # noqa: NPY002
    return x, (x.sum(1) > 0).astype(int)


def global_python():
    return np.array([[random.random()] for _ in range(60)]), np.arange(60) % 2


def unseeded():
    return arrays(np.random.default_rng())


def drawn_from_a_module():
    return arrays(GENERATOR)


def by_the_clock():
    return np.full((60, 2), time.perf_counter_ns() % 2**20) + np.eye(60, 2), np.arange(60) % 2


def shuffled_targets():
    return np.random.default_rng(0).normal(size=(60, 2)), np.random.permutation(60) % 2  # noqa: NPY002


def changes_its_own_array():
    SHARED[:] += 1
    return SHARED.astype(np.float32, copy=False), np.arange(60) % 2


def unseeded_splits():
    return {"train": arrays(np.random.default_rng(0)), "test": arrays(np.random.default_rng())}


def unseeded_dataset():
    return from_arrays(*arrays(np.random.default_rng()))


def only_the_test_split():
    x, y = arrays(np.random.default_rng(0))
    return {"train": (x, y), "valid": (x, y), "test": (x, np.random.permutation(y))}  # noqa: NPY002


def noisy(scale):
    return np.random.normal(size=(60, 2)) * scale, np.arange(60) % 2  # noqa: NPY002


def called_once():
    next(ONCE)
    return arrays(np.random.default_rng(0))


@dataclasses.dataclass(frozen=True)
class Unseeded:
    """A description of the user's own."""

    n: int = 60
    valid_fraction: float = 0.1

    def load(self, data_dir=None):  # noqa: ARG002
        return from_arrays(*arrays(np.random.default_rng()), valid_fraction=self.valid_fraction)


@dataclasses.dataclass(frozen=True)
class Seeded(Unseeded):
    """The same, seeded; its test split depends on `valid_fraction`."""

    def load(self, data_dir=None):  # noqa: ARG002
        data = arrays(np.random.default_rng(0))
        return from_arrays(*data, valid_fraction=self.valid_fraction, test_fraction=self.valid_fraction)


def of(data, **fields):
    return dataclasses.replace(RUN, data=data, **fields)


REPEATS_NOT = [
    global_numpy,
    global_python,
    unseeded,
    drawn_from_a_module,
    by_the_clock,
    shuffled_targets,
    changes_its_own_array,
    unseeded_splits,
    unseeded_dataset,
    only_the_test_split,
    functools.partial(noisy, 2.0),
    Unseeded(),
]


@pytest.mark.parametrize("data", REPEATS_NOT, ids=lambda data: getattr(data, "__name__", type(data).__name__))
def test_data_that_differ_at_the_second_call_are_refused(data):
    loaded = Datasets()
    name = getattr(data, "__name__", type(data).__name__).replace("partial", "noisy")
    with pytest.raises(RequestError, match=rf"data .*{name} gives other arrays each time .*np\.random\.default_rng"):
        loaded.check_repeatable([of(data)])


@pytest.mark.parametrize(
    "data",
    [seeded, functools.partial(seeded), Seeded(), Blobs(n=60)],
    ids=lambda data: getattr(data, "__name__", type(data).__name__),
)
def test_data_that_are_the_same_at_the_second_call_are_accepted(data):
    Datasets().check_repeatable([of(data), of(data, valid_fraction=0.25), of(data, train_examples=20)])


def test_a_function_is_called_once_more_whatever_is_taken_of_its_data():
    STATE["calls"] = 0
    loaded = Datasets()
    runs = [of(seeded), of(seeded, train_examples=20), of(seeded, train_examples=30), of(seeded, seed=1)]
    assert {len(loaded.of(run).train) for run in runs} == {48, 20, 30}
    assert STATE["calls"] == 3
    loaded.check_repeatable(runs)
    assert STATE["calls"] == 4


def test_a_function_that_cannot_be_called_again_is_refused():
    with pytest.raises(RequestError, match="called_once cannot be loaded a second time: StopIteration"):
        Datasets().check_repeatable([of(called_once)])


@pytest.mark.parametrize(("name", "most"), [("MOST_SECONDS", 0.01), ("MOST_BYTES", 100)])
def test_costly_data_are_loaded_once(monkeypatch, name, most):
    monkeypatch.setattr(datasets, name, most)
    STATE["calls"] = 0
    loaded = Datasets()
    loaded.check_repeatable([of(slow)])
    assert STATE["calls"] == 1
    with pytest.raises(RequestError, match="slow gives other arrays each time"):
        loaded.of(of(slow, train_examples=20))  # loaded again for another reason


def test_a_functions_data_are_compared_whatever_is_cut_off_for_validation():
    loaded = Datasets()
    STATE["calls"] = 0
    runs = [of(seeded, valid_fraction=fraction) for fraction in (None, 0.25, 0.5, 0.0)]
    assert len({loaded.record(run) for run in runs}) == 1
    assert [len(loaded.of(run).train) for run in runs] == [48, 40, 27, 54]
    assert STATE["calls"] == 4


def test_descriptions_of_other_fractions_are_compared_where_they_must_agree():
    loaded = Datasets()
    records = [loaded.record(of(Blobs(n=60), valid_fraction=fraction)) for fraction in (None, 0.25, 0.5)]
    assert len({record.id for record in records}) == 3
    assert len({record.description for record in records}) == 1
    tests = {parts_of(record.fingerprint)["test"] for record in records}
    assert len(tests) == 1
    changed = records[0].fingerprint.replace(f"test:{tests.pop()}", "test:0123456789abcdef")
    assert all(record.differs_from(records[0].id, changed).startswith("test") for record in records)
    assert records[1].differs_from(records[0].id, records[0].fingerprint) == ""
    assert loaded.record(of(seeded)).differs_from(records[0].id, changed) == ""


def test_fewer_training_examples_have_the_fingerprint_of_all():
    loaded = Datasets()
    assert loaded.record(of(seeded)) == loaded.record(of(seeded, train_examples=20))
