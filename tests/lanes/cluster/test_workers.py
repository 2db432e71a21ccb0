"""The parts of a cluster's sweep without a cluster: workers called directly, queues, nodes, files that travel."""

import dataclasses

import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

from lanes import RequestError, Run, grid, load
from lanes.cluster import sent_files
from lanes.cluster.jobs import job_of, sources_of
from lanes.cluster.messages import Task
from lanes.cluster.parcels import wrap
from lanes.cluster.ray_connection import check_address
from lanes.cluster.ray_nodes import seats
from lanes.cluster.ray_workers import Worker
from lanes.cluster.waiting_packs import WaitingPacks
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.rungs import WHOLE
from lanes.engine.runner import run_sweep
from lanes.engine.session import Session
from lanes.program.compiled import Programs
from lanes.storage import records
from lanes.storage.claims import Claims
from lanes.storage.directory import Directory
from nets import MLP

PROGRAMS = Programs()
BASE = Run(data=OVERLAPPING, net=MLP(widths=()), optimizer="sgd", batch_size=16, epochs=2)
SWEEP = grid(BASE, learning_rate=[1e-2, 0.1], seed=range(3))
OPTIONS = Options(devices=1, width=2, quiet=True, pack_lanes=2, programs=PROGRAMS)


def numbers(out):
    return load(out).drop(columns=["seconds", "calls"]).set_index("run_id").sort_index()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run_sweep(make_plan(SWEEP, OPTIONS), out, OPTIONS).ended == 6
    return out


@pytest.fixture
def begun(tmp_path):
    """A directory whose packs are planned and not trained, and these packs."""
    options = dataclasses.replace(OPTIONS, shard=(3, 4))  # a shard without packs
    plan = make_plan(SWEEP, options)
    assert run_sweep(plan, tmp_path / "out", options).trained == 0
    directory = Directory(tmp_path / "out")
    return directory, records.earlier_packs(plan.planned, records.known_runs(directory))


@pytest.mark.parametrize("collects", [False, True], ids=["shared", "collect"])
def test_a_worker_trains_packs_into_the_directory_or_returns_their_files(whole, begun, collects):
    directory, packs = begun
    (call,) = directory.calls.glob("*.json")
    job = job_of(directory, call.stem, OPTIONS, collects, 0)
    job = dataclasses.replace(job, options={**job.options, "programs": PROGRAMS})
    worker = Worker(1, "local")
    assert worker.facts().devices[0][0] == "cpu"
    source_of = sources_of(directory)
    sent_files.write(directory.path, worker.join(job, sent_files.of_plan(directory) if collects else {}))
    for pack in packs:
        files = sent_files.of_packs(directory, [pack.pack_id], []) if collects else {}
        report = worker.train(Task([wrap(pack, source_of, {})], WHOLE, files))
        assert (report.failures, report.refused, report.stopped) == ([], {}, False)
        assert bool(report.files) == collects
        sent_files.write(directory.path, report.files)
    sent_files.write(directory.path, worker.leave())
    pd.testing.assert_frame_equal(numbers(directory.path), numbers(whole), check_exact=True)
    assert directory.lacking(pack.pack_id for pack in packs) == set()
    ended = [directory.read_call(path.stem).get("ended") for path in directory.calls.glob("*.json")]
    assert len(ended) == 2
    assert all(ended)


def test_a_worker_that_has_been_asked_to_stop_begins_nothing(begun):
    directory, packs = begun
    (call,) = directory.calls.glob("*.json")
    worker = Worker(1, "local")
    worker.join(job_of(directory, call.stem, OPTIONS, False, 0), {})
    worker.stop()
    report = worker.train(Task([wrap(pack, sources_of(directory), {}) for pack in packs], WHOLE, {}))
    worker.leave()
    assert report.stopped
    assert not directory.ended()


def test_a_worker_refuses_a_pack_that_it_plans_otherwise(begun):
    directory, packs = begun
    (call,) = directory.calls.glob("*.json")
    worker = Worker(1, "local")
    worker.join(job_of(directory, call.stem, OPTIONS, False, 0), {})
    good = wrap(packs[0], sources_of(directory), {})
    wrong = [
        dataclasses.replace(good, rows=[{**row, "run_id": "0" * 16} for row in good.rows]),
        dataclasses.replace(good, signature="0" * 12),
        dataclasses.replace(good, data=(good.data[0], good.data[1][::-1])),
    ]
    reports = [worker.train(Task([parcel], WHOLE, {})) for parcel in wrong[:2]]
    worker.leave()
    assert [bool(report.refused) for report in reports] == [True, True]
    assert "another version" in reports[0].refused[good.pack]


def test_files_do_not_leave_the_directory(tmp_path):
    for name in ("../outside", "/outside", "results/../../outside"):
        with pytest.raises(ValueError, match="is not a path in"):
            sent_files.write(tmp_path / "out", {name: b""})
    assert not (tmp_path / "outside").exists()


def node(name, alive=True, **resources):
    return {"NodeID": name, "NodeManagerHostname": name, "Alive": alive, "Resources": resources}


HEAD, EIGHT, FOUR, GONE = (
    node("head", CPU=4.0),
    node("eight", CPU=64.0, GPU=8.0),
    node("four", CPU=2.0, GPU=4.0),
    node("gone", False, CPU=64.0, GPU=8.0),
)
CLUSTER = [HEAD, EIGHT, FOUR, GONE]


@pytest.mark.parametrize(
    ("devices", "mapping", "cpu_only", "expected"),
    [
        (None, "local", False, [("eight", 1)] * 8 + [("four", 1)] * 4),  # one per device
        (None, "shard_map", False, [("eight", 8), ("four", 4)]),  # all of a node
        (2, "local", False, [("eight", 2)] * 4 + [("four", 2)] * 2),
        (8, "pmap", False, [("eight", 8)]),
        (None, "local", True, [("head", 4), ("eight", 64), ("four", 2)]),  # of CPUs all
        (3, "local", True, [("head", 3)] + [("eight", 3)] * 21),
    ],
)
def test_workers_have_one_gpu_or_all_devices_of_a_node(devices, mapping, cpu_only, expected):
    found = seats(CLUSTER, devices, mapping, cpu_only)
    assert [(seat.node, seat.devices) for seat in found] == expected
    assert {seat.kind for seat in found} == {"CPU" if cpu_only else "GPU"}


def test_a_tpu_host_has_one_worker():
    found = seats([node("tpu", CPU=200.0, TPU=4.0), HEAD], None, "local")
    assert [(seat.node, seat.kind, seat.devices) for seat in found] == [("tpu", "TPU", 4)]


@pytest.mark.parametrize(
    ("nodes", "devices", "text"),
    [
        (CLUSTER, 9, "have 8 (GPU) at most; choose 1 to 8"),
        (CLUSTER, 0, "--devices is 0"),
        ([node("head")], None, "no device on any of them"),
        ([GONE], None, "the cluster has 0 nodes"),
    ],
)
def test_too_few_devices_are_refused(nodes, devices, text):
    with pytest.raises(RequestError) as error:
        seats(nodes, devices, "local")
    assert text in str(error.value)


@pytest.mark.parametrize("text", ["", "ray:", "ray://", "ray://host", "ray://host:x", "10.0.0.1:6379", "Ray", "local"])
def test_other_addresses_are_refused(text):
    with pytest.raises(RequestError, match="--cluster is"):
        check_address(text)


@pytest.mark.parametrize("text", ["ray", "auto", "ray://head:10001", "ray://10.0.0.1:10001", "ray://[::1]:10001"])
def test_addresses(text):
    check_address(text)


@dataclasses.dataclass(frozen=True)
class Named:
    """What the queue asks a pack for."""

    signature: str
    pack_id: str


def queue(most=49, **counts):
    return WaitingPacks([Named(name, f"{name}{at}") for name, count in counts.items() for at in range(count)], most)


def anything(_):
    return True


def test_a_worker_goes_on_with_the_program_that_it_has():
    waiting = queue(a=4, b=4, c=1)
    first = [waiting.take(worker, 1, 3, anything)[0].signature for worker in (1, 2, 3)]
    assert first == ["a", "b", "a"]  # a third for c would leave two programs to one worker each
    assert [waiting.take(2, 1, 3, anything)[0].signature for _ in range(3)] == ["b", "b", "b"]
    assert {waiting.take(2, 1, 3, anything)[0].signature for _ in range(3)} == {"a", "c"}
    assert waiting.take(2, 1, 3, anything) == []
    assert not waiting


def test_short_packs_are_given_many_at_a_time_until_the_end_is_near():
    waiting = queue(a=100)
    assert len(waiting.take(1, 1, 2, anything)) == 1  # how long they take is not known
    waiting.note("a", 0.5)
    sizes = []
    while waiting:
        sizes.append(len(waiting.take(1, 1, 2, anything)))
    assert sizes[0] == 25
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    waiting = queue(a=100)
    waiting.note("a", 60.0)
    assert len(waiting.take(1, 4, 2, anything)) == 4  # one for each place


def test_what_was_lost_comes_last_and_alone():
    waiting = queue(a=3)
    lost = waiting.take(1, 2, 1, anything)
    assert len(lost) == 2
    for pack in lost:
        waiting.give_back(pack)
    waiting.forget(1)
    assert [[pack.pack_id for pack in waiting.take(2, 2, 1, anything)] for _ in range(4)] == [
        ["a2"],
        ["a0"],
        ["a1"],
        [],
    ]


def test_packs_of_other_processes_wait():
    waiting = queue(a=2)
    assert waiting.take(1, 2, 1, lambda pack: pack.pack_id == "a1")[0].pack_id == "a1"
    assert waiting.take(1, 2, 1, lambda _: False) == []
    assert len(waiting) == 1


class Others:
    """Stands for a cluster of four places, whose sessions train nothing."""

    def __init__(self, places, count=4):
        self.places, self.count, self.conditions = places, count, {"code": "theirs"}

    def session(self, *arguments):
        return Session(*arguments[:3], [], *arguments[4:])


def on_others(out, count=4):
    elsewhere = Others(make_plan(SWEEP, OPTIONS).places, count)
    options = dataclasses.replace(OPTIONS, elsewhere=elsewhere, width=1, pack_lanes=None)
    run_sweep(make_plan(SWEEP, options), out, options)
    return load(out)["pack"].nunique()


def test_a_sweep_is_divided_among_all_places(tmp_path):
    assert on_others(tmp_path / "two", 1) == 2
    assert on_others(tmp_path / "many", 100) == 6
    assert Directory(tmp_path / "many").read_sweep()["conditions"] == {"code": "theirs"}


def test_packs_that_nobody_has_begun_are_divided_if_they_are_too_few(whole, tmp_path):
    out = tmp_path / "out"
    wide = dataclasses.replace(OPTIONS, width=1, pack_lanes=6, shard=(1, 1))  # trains nothing
    assert run_sweep(make_plan(SWEEP, wide), out, wide).trained == 0
    big = dataclasses.replace(wide, shard=None)
    stale = make_plan(SWEEP, big)
    assert load(out)["pack"].nunique() == 1
    (held,) = set(load(out)["pack"])
    other = Claims(out)
    assert other.take(held)
    assert on_others(out) == 1  # someone is at it
    other.release_all()
    assert on_others(out) == 6
    assert not list((out / "claims").iterdir())
    assert run_sweep(stale, out, big).ended == 6
    numbers_by_width = [numbers(where)["test_loss"] for where in (out, whole)]
    pd.testing.assert_series_equal(*numbers_by_width, rtol=1e-4)


def test_whoever_planned_a_divided_pack_earlier_leaves_it(tmp_path):
    out, lines = tmp_path / "out", []
    wide = dataclasses.replace(OPTIONS, width=1, pack_lanes=6)
    plan = make_plan(SWEEP, wide)

    def dividing(*arguments):
        assert on_others(out) == 6
        return Session(*arguments)

    elsewhere = Others(plan.places, 1)
    elsewhere.session = dividing
    outcome = run_sweep(plan, out, dataclasses.replace(wide, elsewhere=elsewhere), warn=lines.append)
    assert outcome.status == 75
    assert outcome.trained == 0
    assert any("has been divided among the workers" in line for line in lines)
