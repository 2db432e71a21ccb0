"""Timing widths: what is timed, that times are remembered, and that a damaged cache does no harm."""

import json
import math
import os

import jax
import pytest
from small_sweeps import OWN_ACTIVATION as BASE

from lanes import grid
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.plan import width_timing, widths
from lanes.program import memory
from lanes.program.places import Place, cores


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A private cache folder."""
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def plan():
    return make_plan(grid(BASE, seed=range(2)), Options(devices=2))


def fake(monkeypatch, seconds):
    """Replace timing by the times `seconds`; returns a list that records the widths timed."""
    timed = []

    def race(_one, _data, _devices, candidates, _begin, _seconds):
        timed.append(tuple(candidates))
        return {width: seconds[width] for width in candidates}

    monkeypatch.setattr("lanes.plan.width_timing._race", race)
    return timed


def test_the_training_program_is_timed_at_every_width(plan):
    planned = plan.planned[0]
    seconds = width_timing.measure(planned, plan.datasets.of(planned.run), plan.places, 2, [1, 2], timed_seconds=0.02)
    assert set(seconds) == {1, 2}
    assert all(0 < value < 10 for value in seconds.values())


def test_times_are_remembered_and_only_missing_ones_are_measured(plan, monkeypatch):
    planned, timed = plan.planned[0], fake(monkeypatch, {1: 2.0, 8: 1.0, 24: 3.0})
    data = plan.datasets.of(planned.run)
    first = width_timing.remembered(planned, data, plan.places, 8, [1, 8])
    assert first == width_timing.remembered(planned, data, plan.places, 8, [1, 8]) == {1: 2.0, 8: 1.0}
    assert timed == [(1, 8)]
    assert width_timing.remembered(planned, data, plan.places, 8, [1, 8, 24])[24] == 3.0
    assert width_timing.remembered(planned, data, plan.places[:1], 8, [1]) == {1: 2.0}
    assert len(timed) == 3  # another number of devices is measured separately
    assert len(width_timing.read_cache()) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\x00", b'{"format": 1}', b'{"format": 99, "seconds": {}}', b'{"format": 1, "seconds": 3}',
     b'{"format": 1, "seconds": {"a": {"wide": "x"}}}', b'{"format": 1, "seconds": {"a": null}}'],
)  # fmt: skip
def test_a_damaged_cache_is_silently_repaired(plan, monkeypatch, capfd, content):
    planned = plan.planned[0]
    fake(monkeypatch, {1: 2.0, 8: 1.0})
    width_timing.cache_file().parent.mkdir(parents=True)
    width_timing.cache_file().write_bytes(content)
    assert width_timing.remembered(planned, plan.datasets.of(planned.run), plan.places, 8, [1, 8]) == {1: 2.0, 8: 1.0}
    assert json.loads(width_timing.cache_file().read_bytes())["format"] == width_timing.FORMAT
    assert capfd.readouterr() == ("", "")


def test_timing_works_without_a_writable_cache(plan, monkeypatch, tmp_path):
    planned, timed = plan.planned[0], fake(monkeypatch, {1: 2.0})
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LANES_CACHE_DIR", str(blocked / "inside"))
    for _ in range(2):
        assert width_timing.remembered(planned, plan.datasets.of(planned.run), plan.places, 1, [1]) == {1: 2.0}
    assert len(timed) == 2


def test_a_width_that_does_not_fit_is_infinitely_slow(plan, monkeypatch):
    planned = plan.planned[0]
    monkeypatch.setattr(memory, "free", lambda _: 0)
    assert width_timing.measure(planned, plan.datasets.of(planned.run), plan.places, 1, [1], timed_seconds=0.02) == {
        1: math.inf
    }


def test_the_search_climbs_on_other_devices_than_a_cpu(plan, monkeypatch):
    planned = plan.planned[0]

    class Accelerator:
        platform = device_kind = "gpu"

    place = Place((Accelerator(),), "local")  # type: ignore[arg-type]
    for best, tried in {1024: [256, 1024, 4096], 256: [256, 1024, 64], 16: [256, 1024, 64, 16]}.items():
        timed = fake(monkeypatch, {width: 1 + abs(math.log(width / best)) for width in widths.GPU_WIDTHS})
        seconds = width_timing.measure(planned, plan.datasets.of(planned.run), [place], 256, widths.GPU_WIDTHS)
        assert timed == [(width,) for width in tried]
        assert min(seconds, key=seconds.__getitem__) == best


def test_the_clock_is_processor_time_if_host_devices_fill_the_cores():
    import time

    assert width_timing._clock(jax.devices()[:2], 2) is time.process_time
    assert width_timing._clock(jax.devices()[:1], 2) is time.perf_counter


def test_cores_are_those_of_the_process():
    assert 1 <= cores() <= (os.cpu_count() or 1)
