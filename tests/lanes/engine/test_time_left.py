"""The estimate of the time left counts compiling apart, and agrees with a sweep whose times are known."""

import pytest

from lanes.engine import progress, time_left
from lanes.engine.progress import Progress, clock


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Programs:
    """Compiled programs whose compile times are as told."""

    def __init__(self) -> None:
        self.seconds: dict[tuple, float] = {}
        self.spent = 0.0

    def waited(self) -> float:
        return self.spent

    def compile(self, clock: Clock, signature: str, seconds: float) -> None:
        self.seconds["train", signature] = seconds
        self.spent += seconds
        clock.now += seconds


class Pack:
    """What of a pack the estimate reads."""

    def __init__(self, name: str, signature: str = "a", size: int = 8, epochs: int = 10):
        self.pack_id, self.signature, self.size, self.epochs = name, signature, size, epochs
        self.members = [None] * size


@pytest.fixture
def time(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time_left, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    return clock


def train(progress, time, pack, seconds, chunks, initial=0.0, first=None):
    """Train a pack in chunks of one epoch, the first of which may take longer."""
    progress.take(pack)
    time.now += initial
    progress.begin(pack, 0)
    for epoch in range(chunks):
        time.now += first if epoch == 0 and first is not None else seconds
        progress.epoch(pack, epoch, epoch + 1)


def test_compiling_is_not_extrapolated(time):
    packs, programs = [Pack("1"), Pack("2")], Programs()
    shown = Progress(packs, 1, quiet=True, compiled=programs)
    shown.take(packs[0])
    programs.compile(time, "a", 30.0)
    shown.begin(packs[0], 0)
    assert shown.standing().seconds_left is None
    for epoch in range(3):
        time.now += 0.5
        shown.epoch(packs[0], epoch, epoch + 1)
    # 7 epochs of this pack and 10 of the other, half a second each.
    assert shown.standing().seconds_left == pytest.approx(17 * 0.5)
    assert shown.standing().runs_per_second == pytest.approx((8 * 0.7 + 8) / (17 * 0.5))
    assert shown.standing().done == pytest.approx(8 * 0.3)


def test_a_slow_first_chunk_is_not_extrapolated(time):
    shown = Progress([pack := Pack("1")], 1, quiet=True)
    train(shown, time, pack, 0.1, 1, first=2.0)
    assert shown.standing().seconds_left is None
    for epoch in range(1, 4):
        time.now += 0.1
        shown.epoch(pack, epoch, epoch + 1)
    assert shown.standing().seconds_left == pytest.approx(6 * 0.1)


def test_a_long_first_chunk_tells(time):
    shown = Progress([pack := Pack("1")], 1, quiet=True)
    train(shown, time, pack, 60.0, 1)
    assert shown.standing().seconds_left == pytest.approx(9 * 60.0)


def test_programs_that_are_not_compiled_yet_are_counted(time):
    packs, programs = [Pack("1", "a"), Pack("2", "b"), Pack("3", "c")], Programs()
    shown = Progress(packs, 1, quiet=True, compiled=programs)
    programs.compile(time, "a", 20.0)
    train(shown, time, packs[0], 1.0, 10)
    shown.pack_done(packs[0])
    assert shown.standing().seconds_left == pytest.approx(2 * 10 * 1.0 + 2 * 20.0)


def test_what_packs_take_besides_their_chunks_is_counted(time):
    packs = [Pack("1"), Pack("2"), Pack("3")]
    shown = Progress(packs, 1, quiet=True)
    train(shown, time, packs[0], 1.0, 10, initial=2.0)
    time.now += 3.0
    shown.pack_done(packs[0])
    assert shown.standing().seconds_left == pytest.approx(2 * (10 * 1.0 + 5.0))


def test_places_share_the_packs_but_not_one_pack(time):
    packs = [Pack("1"), Pack("2"), Pack("3")]
    shown = Progress(packs, 2, quiet=True)
    train(shown, time, packs[0], 1.0, 5)
    assert shown.standing().seconds_left == pytest.approx(25 / 2)
    shown.pack_done(packs[1])
    shown.pack_done(packs[2])
    assert shown.standing().seconds_left == pytest.approx(5)


def test_a_resumed_pack_counts_from_where_it_is(time):
    shown = Progress([pack := Pack("1")], 1, quiet=True)
    shown.take(pack)
    shown.begin(pack, 6)
    assert shown.standing().done == pytest.approx(8 * 0.6)
    for epoch in (6, 7):
        time.now += 2.0
        shown.epoch(pack, epoch, epoch + 1)
    assert shown.standing().seconds_left == pytest.approx(2 * 2.0)


def test_a_rung_is_where_a_stage_ends(time):
    shown = Progress([pack := Pack("1")], 1, quiet=True, until=5)
    train(shown, time, pack, 1.0, 3)
    assert shown.standing().seconds_left == pytest.approx(2.0)
    assert shown.standing().under_way == [(pack, 3, 5)]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert clock(seconds) == text
