"""The writing thread keeps the order of its jobs, drops what is superseded, and ends in time."""

import threading
import time

import pytest

from lanes.storage.writer import WAITING, Writer


@pytest.fixture
def blocked():
    """A writer in the middle of a job, the event that lets it go on, and what its jobs have noted."""
    writer, begun, go, notes = Writer(), threading.Event(), threading.Event(), []

    def block() -> None:
        begun.set()
        go.wait(20)

    writer.submit(block)
    begun.wait(20)
    yield writer, go, notes
    go.set()


def test_jobs_run_in_order_and_a_waiting_one_is_dropped_for_its_successor(blocked):
    writer, go, notes = blocked
    for epoch in range(10):  # more than may wait
        writer.submit(notes.append, f"a{epoch}", latest_of="a")
        writer.submit(notes.append, f"b{epoch}", latest_of="b")
    writer.submit(notes.append, "results of a")
    go.set()
    assert writer.close()
    assert notes == ["a9", "b9", "results of a"]


def test_what_has_begun_is_finished(blocked):
    writer, go, notes = blocked
    go.set()
    writer.submit(notes.append, 1, latest_of="a")
    deadline = time.monotonic() + 20
    while not notes and time.monotonic() < deadline:
        time.sleep(0.01)
    writer.submit(notes.append, 2, latest_of="a")
    assert writer.close()
    assert notes == [1, 2]


def test_writing_that_takes_too_long_is_left_and_is_no_error(blocked):
    writer, go, notes = blocked
    writer.submit(notes.append, 1)
    began = time.monotonic()
    assert not writer.close(0.05)
    assert time.monotonic() - began < 5
    with pytest.raises(OSError, match="stopped"):
        writer.submit(notes.append, 2)
    go.set()
    assert writer.close()
    assert notes == [1]


def test_the_queue_is_bounded_and_whoever_waits_hears_of_a_failure(blocked):
    writer, go, notes = blocked
    heard: list[str] = []

    def fail() -> None:
        raise ValueError("broken\nin two lines")

    writer.submit(fail)

    def submit() -> None:
        try:
            for number in range(2 * WAITING):
                writer.submit(notes.append, number)
        except OSError as error:
            heard.append(str(error))

    thread = threading.Thread(target=submit)
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    assert not notes
    go.set()
    thread.join(20)
    with pytest.raises(OSError, match="ValueError: broken"):
        writer.close()
    assert writer.has_failed
    assert not notes
    assert heard in ([], ["ValueError: broken"])  # the queue may have been emptied before it was full again
