"""Trackers write each point once, whatever is killed when, and nothing through links."""

import json
import struct
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from small_sweeps import GOOD

import lanes
from lanes import Reached, RequestError
from lanes.reporting import trackers

pb = pytest.importorskip("tensorboardX.proto.event_pb2", reason="in the extra `test`")
EPOCHS = 5


def reached(out: Path, epoch: int, status: str = "running", ends: tuple[int, int] = (EPOCHS, EPOCHS)) -> Reached:
    """Two runs after an epoch; the second is evaluated every other epoch."""
    out.mkdir(exist_ok=True)
    loss = np.arange(1, epoch + 1, dtype=np.float32) / np.float32([[1], [3]])
    accuracy = np.where(np.arange(epoch) % 2 == 0, np.nan, loss) + np.float32([[0], [1]])
    history = {"batch_loss": loss, "valid_accuracy": accuracy.astype(np.float32)}
    epochs = np.minimum(epoch, ends)
    return Reached(out, "aa", epoch, {"a1": GOOD, "b2": GOOD}, dict.fromkeys(("a1", "b2"), status), history, epochs)


def expected(ends: tuple[int, int] = (EPOCHS, EPOCHS)) -> dict[tuple[str, int], dict[str, float | None]]:
    """The points that belong to the runs, from the curves as tables have them."""
    curves = reached(Path("."), EPOCHS, ends=ends).curves
    rows = curves.astype(object).where(curves.notna(), None).to_dict("records")
    return {(row.pop("run_id"), row.pop("epoch")): row for row in rows}


def lines(out: Path) -> dict[tuple[str, int], dict[str, float | None]]:
    """The points of a file of JSON lines, none of which is there twice."""
    points = [json.loads(line) for line in (out / "jsonl" / "aa.jsonl").read_text().splitlines()]
    keys = [(point.pop("run_id"), point.pop("epoch")) for point in points]
    assert len(set(keys)) == len(keys)
    return dict(zip(keys, points, strict=True))


def events(out: Path) -> dict[tuple[str, int], dict[str, float]]:
    """The scalars of the files of events; lengths and checksums are read as TensorFlow's records have them."""
    from tensorboardX.record_writer import masked_crc32c

    found = {}
    for path in sorted((out / "tensorboard").rglob("events.out.tfevents.*")):
        content, at, first = path.read_bytes(), 0, True
        while at < len(content):
            length, crc = struct.unpack_from("<QI", content, at)
            assert crc == masked_crc32c(content[at : at + 8])
            body = content[at + 12 : at + 12 + length]
            assert struct.unpack_from("<I", content, at + 12 + length) == (masked_crc32c(body),)
            event = pb.Event.FromString(body)
            assert (event.file_version == "brain.Event:2") == first
            if not first:
                assert (path.parent.name, event.step) not in found
                found[path.parent.name, event.step] = {value.tag: value.simple_value for value in event.summary.value}
            first, at = False, at + 16 + length
    return found


def finite(points):
    """The points without missing values."""
    return {key: {name: value for name, value in point.items() if value is not None} for key, point in points.items()}


KINDS = [(lanes.JSONLines, lambda out: lines(out), lambda points: points), (lanes.TensorBoard, events, finite)]


@pytest.mark.parametrize(("kind", "read", "form"), KINDS, ids=["jsonl", "tensorboard"])
def test_every_point_is_written_once(tmp_path, kind, read, form):
    tracker = kind(seconds=0.0)
    for epoch in (1, 2, 5):
        assert tracker(reached(tmp_path, epoch)) is None
    tracker(reached(tmp_path, EPOCHS, "done"))
    assert read(tmp_path) == form(expected())


@pytest.mark.parametrize(("kind", "read", "form"), KINDS, ids=["jsonl", "tensorboard"])
def test_points_are_batched_and_the_end_is_not_missed(tmp_path, kind, read, form):
    tracker = kind(seconds=1000.0)
    tracker(reached(tmp_path, 1))
    tracker(reached(tmp_path, 3))
    assert {epoch for _, epoch in read(tmp_path)} == {1}
    tracker(reached(tmp_path, EPOCHS, "done", ends=(EPOCHS, 4)))
    assert read(tmp_path) == form(expected(ends=(EPOCHS, 4)))


@pytest.mark.parametrize("cut", [0, 1, 7, 40])
@pytest.mark.parametrize(("kind", "read", "form"), KINDS, ids=["jsonl", "tensorboard"])
def test_after_a_kill_nothing_is_missing_or_there_twice(tmp_path, kind, read, form, cut):
    """Whatever was torn, and wherever the sweep goes on: before what was written, or behind it."""
    kind(seconds=0.0)(reached(tmp_path, 3))
    for path in [*tmp_path.rglob("*.jsonl"), *tmp_path.rglob("*tfevents*")]:
        path.write_bytes(path.read_bytes()[: -cut or None])
    again = kind(seconds=0.0)
    again(reached(tmp_path, 2))
    again(reached(tmp_path, EPOCHS, "done"))
    assert read(tmp_path) == form(expected())


@pytest.mark.parametrize("kind", [lanes.JSONLines, lanes.TensorBoard])
def test_nothing_is_written_through_links(tmp_path, kind):
    outside = tmp_path / "outside"
    outside.mkdir()
    out = tmp_path / "sweep"
    out.mkdir()
    (out / kind.NAME).symlink_to(outside, target_is_directory=True)
    with pytest.raises(OSError, match="link"):
        kind()(reached(out, 1))
    assert not list(outside.iterdir())
    kind(folder=outside / "mine")(reached(out, 1))
    assert len(list((outside / "mine").iterdir())) == (1 if kind is lanes.JSONLines else 2)


class Logged:
    """A run of the stand-in for wandb."""

    def __init__(self, **arguments):
        self.arguments, self.points, self.summary, self.finished = arguments, {}, {}, False

    def log(self, values, step):
        self.points[step] = values

    def finish(self):
        self.finished = True


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package wandb; returns the runs that it is given."""
    runs: list[Logged] = []

    def init(**arguments):
        runs.append(Logged(**arguments))
        return runs[-1]

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init, Settings=dict))
    return runs


def test_wandb_logs_each_run_once_when_it_ends(tmp_path, wandb):
    tracker = lanes.WandB(project="mine")
    for epoch in (1, 2):
        tracker(reached(tmp_path, epoch))
    assert not wandb
    for again in (tracker, tracker, lanes.WandB(project="mine")):
        again(reached(tmp_path, EPOCHS, "done"))
    assert [run.arguments["id"] for run in wandb] == ["a1", "b2"]
    points = finite(expected())
    for run in wandb:
        assert run.finished
        assert run.summary == {"status": "done"}
        assert run.arguments["mode"] == "offline"
        assert run.arguments["config"]["batch_size"] == GOOD.batch_size
        assert run.arguments["config"]["net.widths"] == "4"
        assert run.points == {epoch: points[run.arguments["id"], epoch] for epoch in range(1, EPOCHS + 1)}


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("tensorboard", "tensorboardX")])
def test_a_missing_package_is_said(monkeypatch, name, package):
    for module in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RequestError, match=f"the package {package} is missing: pip install {package}"):
        trackers.trackers([name])


def test_names_of_trackers():
    assert [type(one) for one in trackers.trackers(["jsonl", "jsonl"])] == [lanes.JSONLines]
    with pytest.raises(RequestError, match="did you mean 'tensorboard'"):
        trackers.trackers(["tensorbord"])
    with pytest.raises(RequestError, match="must be offline or online"):
        lanes.WandB(mode="disabled")
