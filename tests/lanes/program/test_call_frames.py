"""A thread begun by `with_room` has room for its frames: results and errors are the function's, and no call takes new pages."""

import resource
import sys
import threading

import pytest

from lanes.program.call_frames import with_room

TIMES = 300


def leaf():
    """What is called at each depth."""


def descend(depth):
    """`TIMES` calls at each of `depth` depths, one of which lies at the end of a piece of 16 kB."""
    for _ in range(TIMES):
        leaf()
    if depth:
        descend(depth - 1)


def pages_taken(target, *args):
    """Page faults of a new thread in a descent through 64 kB of frames."""
    found = []

    def work():
        descend(400)  # whatever is touched once
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        descend(400)
        found.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

    thread = threading.Thread(target=target, args=(*args, work))
    thread.start()
    thread.join()
    return found[0]


def test_results_errors_and_arguments_are_the_functions():
    assert with_room(divmod, 7, 2) == (3, 1)
    assert with_room(sorted, [1, 2], reverse=True) == [2, 1]
    assert with_room(with_room, max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError) as caught:
        with_room(divmod, 1, 0)
    assert [entry.name for entry in caught.traceback][-1] == "with_room"


def test_recursion_ends_with_the_usual_error():
    def endless():
        return endless()

    with pytest.raises(RecursionError):
        with_room(endless)


@pytest.mark.skipif(not hasattr(resource, "RUSAGE_THREAD"), reason="page faults by thread are Linux's")
def test_calls_take_no_new_pages():
    without = pages_taken(lambda function: function())
    if without < TIMES:
        pytest.skip(
            f"Python {sys.version.split()[0]} keeps a piece for the next call: {without} page faults without room"
        )
    assert pages_taken(with_room) < TIMES / 10
