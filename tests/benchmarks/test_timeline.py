"""Where a command's time goes: nested spans, what the end waits for, and the functions that are watched."""

import functools
import importlib
import json

import pytest

from benchmarks import __main__ as benchmark
from benchmarks import timeline, traced_command
from benchmarks.timeline import Segment, Timeline


def of(*spans, thread="MainThread"):
    return [(phase, thread, begin, end) for phase, begin, end in spans]


def test_each_moment_of_a_thread_has_the_span_that_began_last():
    spans = of(("planning", 0.0, 10.0), ("tracing", 2.0, 5.0), ("tracing", 3.0, 4.0), ("writing", 12.0, 13.0))
    found = [(one.phase, one.begin, one.end) for one in timeline.joined(timeline.innermost(spans))]
    assert found == [("planning", 0, 2), ("tracing", 2, 5), ("planning", 5, 10), ("writing", 12, 13)]


def test_what_is_traced_to_check_a_plan_is_the_checks():
    (found,) = timeline.joined(
        timeline.innermost(of((traced_command.CHECKING, 0.0, 4.0), (traced_command.TRACING, 1.0, 2.0)))
    )
    assert (found.phase, found.begin, found.end) == (traced_command.CHECKING, 0, 4)


def test_the_end_waits_for_the_main_thread_then_for_places_and_last_for_the_background():
    segments = [
        Segment("imports", "MainThread", 0.0, 2.0),
        Segment("XLA", "lanes-ahead", 1.0, 6.0),
        Segment("starting weights", "lanes-place-0", 2.0, 3.0),
        Segment("training", "lanes-place-0", 6.0, 8.0),
        Segment("loading programs", "lanes-place-1", 6.0, 7.0),
        Segment("writing", "lanes-writer", 6.5, 9.0),
    ]
    taken = Timeline(segments, 10.0)
    waited = {phase: seconds for phase, seconds in taken.waited().items() if seconds}
    assert waited == {
        "imports": 2.0,
        "starting weights": 1.0,
        "XLA": 3.0,
        "training": 1.5,
        "loading programs": 0.5,
        "writing": 1.0,
        timeline.OTHER: 1.0,
    }
    assert sum(waited.values()) == taken.length
    assert taken.busy()["XLA"] == 5.0
    assert taken.lines()[0] == "MainThread: imports 0.00–2.00"
    assert [line.split(":")[0] for line in taken.lines(2.0)] == [
        "MainThread",
        "lanes-place-0",
        "lanes-ahead",
        "lanes-writer",
    ]


def test_a_record_is_read_from_the_start_of_the_process_to_its_end():
    record = {"began": 100.5, "ended": 103.0, "spans": [["imports", "MainThread", 100.6, 102.0]]}
    taken = timeline.read(record, 100.0, 104.0)
    waited = taken.waited()
    assert taken.length == 4.0
    assert waited[timeline.START] == pytest.approx(0.5)
    assert waited["imports"] == pytest.approx(1.4)
    assert waited[timeline.LEAVING] == pytest.approx(1.0)
    assert sum(waited.values()) == pytest.approx(4.0)


@pytest.mark.parametrize("name", traced_command.targets())
def test_every_function_that_is_watched_exists(name):
    module, _, path = name.partition(":")
    assert callable(functools.reduce(getattr, path.split("."), importlib.import_module(module)))


@pytest.mark.slow
def test_a_sweep_leaves_a_timeline_whose_phases_add_up(capsys):
    status = benchmark.main(benchmark.Arguments(name="timeline", quick=True))
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert status == 0
    assert lines[0] == "| phase | 24 runs, cold | 24 runs, warm |"
    for row in result["rows"]:
        (waited,) = result["facts"]["waited"][row["name"]]
        assert sum(waited.values()) == pytest.approx(row["median"])
        assert all(waited[phase] > 0 for phase in ("imports", "planning: tracing", "training", "table and page"))
    cold, warm = (result["facts"]["waited"][row["name"]][0] for row in result["rows"])
    assert cold["XLA"] > 10 * warm["XLA"]
