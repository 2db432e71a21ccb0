"""Each call leaves its own record, and calls whose numbers may differ are told apart."""

import json
import os
import re

import jax
import pandas as pd
import pytest

from lanes.program.places import make_places, select_devices
from lanes.reporting.provenance import provenance_of, provenance_section
from lanes.storage import calls, checkpoints, conditions
from lanes.storage.directory import Directory
from lanes.storage.provenance import FACTS, Call, facts


@pytest.fixture
def directory(tmp_path):
    """A directory, and the lines that it warns with."""
    lines: list[str] = []
    made = Directory(tmp_path / "out", lines.append)
    made.create()
    return made, lines


@pytest.fixture(scope="module")
def places():
    return make_places(select_devices(1), "local")


def test_calls_whose_numbers_may_differ_are_told_apart(directory, places):
    opened, lines = directory
    names = [calls.begin(opened, Call(places, ("lanes", "sweep")), shard=None)]
    before = jax.config.values["jax_default_prng_impl"]
    try:
        jax.config.update("jax_default_prng_impl", "rbg")
        names += [calls.begin(opened, Call(places), shard=(1, 2)) for _ in range(2)]
    finally:
        jax.config.update("jax_default_prng_impl", before)
    names.append(calls.begin(opened, Call(places)))
    differ = "jax_default_prng_impl threefry2x32 -> rbg"
    assert lines == [f"note: numbers may differ from those of {opened.path}'s first call: {differ}"] * 2
    assert calls.differing(opened) == dict.fromkeys(sorted(names[1:3]), differ)
    assert {name.rpartition("-")[2] for name in (names[0], names[3])} != {names[1].rpartition("-")[2]}
    calls.end(opened, names[0], status=75, trained=3)
    found = {one["call"]: one for one in calls.read_all(opened)}
    assert (found[names[0]]["status"], found[names[0]]["trained"]) == (75, 3)
    assert found[names[0]]["begun"] <= found[names[0]]["ended"]
    assert (found[names[1]]["shard"], found[names[1]]["process"]) == ([1, 2], os.getpid())
    assert "ended" not in found[names[1]]
    opened.write_sweep(calls.first(opened))
    page = provenance_section(pd.DataFrame({"run_id": ["a"]}), {"out": provenance_of(opened.path)})
    assert all(
        text in page for text in (*names, "jax_default_prng_impl threefry2x32 -&gt; rbg", "2 calls, the first of")
    )


def test_a_lost_sweep_json_takes_the_first_calls_facts(directory, places):
    directory, _ = directory
    assert calls.first(directory) == {}
    assert calls.differing(directory) == {}
    name = calls.begin(directory, Call(places, ("first",)))
    assert re.fullmatch(calls.NAME, name)
    assert list(calls.first(directory)) == list(facts(Call(places))) == list(FACTS)
    assert calls.first(directory)["command"] == ["first"]


def test_a_damaged_record_of_a_call_is_set_aside_and_the_others_are_read(directory, places):
    directory, lines = directory
    names = [calls.begin(directory, Call(places)) for _ in range(3)]
    path = directory.calls / f"{names[1]}.json"
    path.write_text(path.read_text().replace('"local"', '"pmap"'))
    assert {found["call"] for found in calls.read_all(directory)} == {names[0], names[2]}
    assert len(lines) == 1
    (directory.calls / "..json").write_text("{}")
    (directory.calls / "x.json").write_text("{}")
    assert set(calls.names(directory)) == {names[0], names[2]}


def test_conditions_differ_by_what_changes_numbers(monkeypatch, places):
    monkeypatch.setenv("XLA_FLAGS", "--xla_b=1 --xla_a=2")
    before = conditions.conditions(places)
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=2 --xla_dump_to=here --xla_b=1 --xla_force_host_platform_device_count=4")
    assert conditions.differences(before, conditions.conditions(places)) == {}
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=3")
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--x")
    found = conditions.differences(before, conditions.conditions(places))
    assert found == {"XLA_FLAGS": ("--xla_a=2 --xla_b=1", "--xla_a=3"), "LIBTPU_INIT_ARGS": ("none", "--x")}
    assert conditions.text(found) == "XLA_FLAGS --xla_a=2 --xla_b=1 -> --xla_a=3, LIBTPU_INIT_ARGS none -> --x"
    assert {"jax", "jaxlib", "numpy", "code", "cores", "processor", "jax_default_prng_impl", "jax_enable_x64"} <= set(
        before
    )
    other_version = {name: value for name, value in before.items() if name != "jax_scan3"}
    assert conditions.differences(before, {**other_version, "jax": "9"}) == {"jax": (before["jax"], "9")}
    assert all(isinstance(value, str) for value in before.values())
    assert json.loads(json.dumps(before)) == before


def test_a_checkpoint_keeps_the_calls(tmp_path):
    checkpoints.save(tmp_path / "pack", 1, {"x": jax.numpy.ones(3)}, {"calls": ["a", "b"]})
    assert checkpoints.calls_of(tmp_path / "pack" / "1") == ("a", "b")
    assert checkpoints.calls_of(tmp_path / "pack" / "2") == ()
