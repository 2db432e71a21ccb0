"""Executables on disk: what finds them, what must not, and that they compute what the compiler's own do."""

import dataclasses
import functools
import gc
import importlib
import itertools
import os
import pkgutil
import shutil
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

import lanes
import losses
import nets
from lanes import Run, grid, load, load_curves
from lanes.describe import checks
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus
from lanes.plan.datasets import Datasets
from lanes.plan.planned import plan_runs
from lanes.program import determined, initialization, memory, stored_programs
from lanes.program.compiled import Programs
from lanes.storage import conditions
from nets import MLP

BASE = Run(data=OVERLAPPING, net=MLP(widths=(4,)), optimizer="adam", batch_size=16, epochs=2, dropout=0.2)
SWEEP = grid(BASE, activation=["relu", "tanh"], initializer=["he_normal", "orthogonal"], learning_rate=[0.1, 0.3])
ONE = Options(devices=1, width=2, quiet=True, pack_lanes=4)
KINDS = ["initialize", "start", "train", "evaluate"]
LOWERING = "/jax/core/compile/jaxpr_to_mlir_module_duration"


@pytest.fixture
def own_cache(cache_of_its_own: Path) -> Path:
    """The folder of executables in a cache of the test's own."""
    return cache_of_its_own / stored_programs.FOLDER


def swept(out: Path, sweep: list[Run] = SWEEP, options: Options = ONE, again: bool = False) -> list[str]:
    """Train a sweep with no program in memory; the names of the programs that were lowered, as they were."""
    lowered: list[str] = []

    def listen(event: str, _: float, **about: object) -> None:
        # Whether an option is known is tried on an empty program, once in a process.
        if event == LOWERING and "_nothing" not in str(about):
            lowered.append(str(about.get("fun_name", about)))

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        outcome = run_sweep(make_plan(sweep, options), out, dataclasses.replace(options, programs=Programs()))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert outcome.status == ExitStatus.DONE, outcome.failures
    assert not again or not lowered, lowered
    return lowered


def assert_same(one: Path, other: Path) -> None:
    """Bit-equal results, but for times."""
    for read, key in ((load, ["run_id"]), (load_curves, ["run_id", "epoch"])):
        mine, theirs = (read(out).sort_values(key, ignore_index=True) for out in (one, other))
        left_out = [name for name in ("seconds", "calls", "device") if name in mine]
        pd.testing.assert_frame_equal(mine.drop(columns=left_out), theirs.drop(columns=left_out), check_exact=True)


def test_a_second_process_lowers_nothing_and_computes_the_same(own_cache, tmp_path):
    assert len(swept(tmp_path / "first")) == len(KINDS)
    assert len(list(own_cache.iterdir())) == len(KINDS)
    swept(tmp_path / "second", again=True)
    assert_same(tmp_path / "first", tmp_path / "second")


def test_an_executable_serves_every_device(own_cache, tmp_path):
    """Compiled for one device and loaded for another, it computes there: the packs of two places end."""
    swept(tmp_path / "first")
    two = dataclasses.replace(ONE, devices=2)
    swept(tmp_path / "second", options=two, again=True)
    assert_same(tmp_path / "first", tmp_path / "second")
    assert len(list(own_cache.iterdir())) == len(KINDS)


@pytest.mark.parametrize("injury", ["flipped", "cut", "empty", "text"])
def test_a_damaged_file_is_compiled_again(own_cache, tmp_path, injury):
    swept(tmp_path / "first")
    for path in own_cache.iterdir():
        content = path.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"flipped": flipped, "cut": content[:middle], "empty": b"", "text": b"x" * 64}[injury])
    assert len(swept(tmp_path / "second")) == len(KINDS)
    assert_same(tmp_path / "first", tmp_path / "second")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the platform's files have no owners")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_others_may_write_is_not_read(own_cache, tmp_path, which):
    swept(tmp_path / "first")
    for path in own_cache.iterdir() if which == "file" else [own_cache]:
        path.chmod(path.stat().st_mode | 0o020)
    assert len(swept(tmp_path / "second")) == len(KINDS)


def stretched(outputs, targets):
    """A user's own metric."""
    return 3 * losses.accuracy(outputs, targets)


def test_a_program_with_the_users_own_code_is_not_stored(own_cache, tmp_path):
    own = [dataclasses.replace(run, metrics=(stretched,)) for run in SWEEP]
    assert len(swept(tmp_path / "first", own)) == len(KINDS)
    assert len(list(own_cache.iterdir())) == 1  # the one that draws, which measures nothing
    again = swept(tmp_path / "second", own)
    assert len(again) == len(KINDS) - 1
    assert "jit(initialize)" not in again


def points():
    """A user's own data."""
    random = np.random.default_rng(0)
    return random.normal(size=(120, 2)).astype(np.float32), random.integers(0, 3, 120)


@pytest.mark.usefixtures("own_cache")
def test_a_function_that_makes_data_is_no_part_of_a_program(tmp_path):
    own = [dataclasses.replace(run, data=points) for run in SWEEP]
    swept(tmp_path / "first", own)
    swept(tmp_path / "second", own, again=True)
    assert_same(tmp_path / "first", tmp_path / "second")


def test_what_a_loaded_program_takes_in_memory_is_known(own_cache, tmp_path):
    swept(tmp_path / "first")
    largest = max(own_cache.iterdir(), key=lambda path: path.stat().st_size)
    assert memory.taken(stored_programs.load(largest, jax.devices()[1])) > 0


def test_a_full_disk_and_a_folder_that_cannot_be_made_change_nothing(own_cache, tmp_path, monkeypatch):
    def nowhere(path: Path) -> Path:
        return path / "no such folder"

    nowhere.__module__ = determined.__name__
    monkeypatch.setattr(determined, "temporary_beside", nowhere)
    assert len(swept(tmp_path / "first")) == len(KINDS)
    assert not list(own_cache.iterdir())
    shutil.rmtree(own_cache)
    own_cache.write_text("a file in its place")
    assert len(swept(tmp_path / "second")) == len(KINDS)
    assert_same(tmp_path / "first", tmp_path / "second")


# ---- what finds a program -----------------------------------------------------------------------------------------


@pytest.fixture
def found(own_cache: Path) -> Callable[..., str | None]:  # noqa: ARG001
    """A function that tells the name of the file of the program that makes a run's lanes."""
    datasets = Datasets()

    def found(shape: tuple[int, ...] = (3,), options: object = (), device: Any = None, **changes: object) -> str | None:
        resolved = checks.resolved(dataclasses.replace(BASE, **changes))
        (planned,) = plan_runs([checks.check_with_data(resolved, datasets.of(resolved))], datasets)
        function = functools.partial(initialization.start, planned.setup)
        key = ("start", planned.signature)
        path = stored_programs.file_of(key, device or jax.devices()[0], function, np.zeros(shape), options)
        return None if path is None else path.name

    return found


def test_runs_that_differ_in_numbers_have_one_program(found):
    assert found() is not None
    assert len({found(), found(seed=3), found(learning_rate=0.5, dropout=0.4)}) == 1


def test_a_gpus_program_is_found_by_its_kind_where_it_is_the_only_one(found):
    def gpu(kind: str = "A", version: str = "cuda 13000", count: int = 1, platform: str = "gpu") -> Any:
        client = types.SimpleNamespace(device_count=lambda: count, platform_version=version)
        return types.SimpleNamespace(platform=platform, device_kind=kind, client=client)

    names = [found(device=device) for device in (None, gpu(), gpu("B"), gpu(version="cuda 12090"))]
    assert None not in names
    assert len(set(names)) == 4
    assert found(device=gpu()) == names[1]
    assert found(device=gpu(count=2)) is found(device=gpu(platform="tpu")) is None


def test_a_program_is_found_by_all_that_it_depends_on(found, monkeypatch):
    others = [
        found(),
        found(shape=(4,)),
        found(options=[("xla_backend_optimization_level", 1)]),
        found(activation="tanh"),
        found(net=MLP(widths=(5,))),
        found(batch_size=8),  # the number of steps in an epoch
        found(optimizer="sgd"),
        found(dropout=0.0),
        found(data=dataclasses.replace(OVERLAPPING, n=200)),
    ]
    with jax.default_matmul_precision("highest"):
        others.append(found())
    with monkeypatch.context() as changed:
        changed.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
        others.append(found())
    for name in ("_code", "_machine"):
        with monkeypatch.context() as changed:
            original = getattr(determined, name)()
            changed.setattr(determined, name, _another(original))
            others.append(found())
    assert None not in others
    assert len(set(others)) == len(others)


def _another(values: list[str]) -> Callable[[], list[str]]:
    def another() -> list[str]:
        return [*values, "changed"]

    another.__module__ = determined.__name__  # a replacement of somebody else's would be noticed
    return another


def test_every_file_that_programs_are_made_of_counts(tmp_path, monkeypatch):
    folder = tmp_path / "nets"
    shutil.copytree(Path(nets.__file__).parent, folder)
    monkeypatch.setattr(nets, "__file__", str(folder / "__init__.py"))

    before = determined._code(), conditions.code()
    read = determined.source_hashes.__wrapped__  # without what was read before
    monkeypatch.setattr(determined, "source_hashes", read)
    monkeypatch.setattr(conditions, "source_hashes", read)

    def codes() -> tuple[list[str], str]:
        """Those that name executables, and the one that a directory records."""
        return determined._code.__wrapped__(), conditions.code.__wrapped__()

    assert codes() == before
    with open(folder / "dropout.py", "a") as file:
        file.write("# another comment\n")
    assert all(now != then for now, then in zip(codes(), before, strict=True))


def test_replaced_functions_are_noticed(found, monkeypatch):
    """A function that somebody put into one of our modules, or a library's, changes programs and no description."""
    assert found() is not None
    for module, name in ((initialization, "initial_variables"), (jax.nn, "relu"), (losses, "accuracy")):
        with monkeypatch.context() as replaced:
            replaced.setattr(module, name, stretched)
            assert found() is None
    assert found() is not None


def test_no_module_of_this_project_looks_replaced(found):
    """What the project's own modules import is known, whatever a process has imported."""
    for package in (lanes, nets, losses):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    assert found() is not None


def test_other_threads_may_import_meanwhile(monkeypatch):
    """A list of pairs of `sys.modules` is no atom: the collector runs while it is made, and threads with it."""
    ended, interval, threshold = threading.Event(), sys.getswitchinterval(), gc.get_threshold()
    monkeypatch.setattr(sys, "modules", sys.modules.copy())

    def imports() -> None:
        for number in itertools.count():
            sys.modules[f"another_{number % 1000}"] = types.ModuleType("another")
            if ended.is_set():
                return
            if number % 1000 == 999:
                for name in [name for name in sys.modules.copy() if name.startswith("another_")]:
                    del sys.modules[name]

    thread = threading.Thread(target=imports)
    sys.setswitchinterval(1e-6)
    gc.set_threshold(50)
    try:
        thread.start()
        for _ in range(30):
            assert determined._is_patched() is False
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)


def test_the_files_used_longest_ago_are_removed(own_cache, tmp_path):
    swept(tmp_path / "first")
    files = sorted(own_cache.iterdir(), key=lambda path: path.stat().st_size)
    for at, path in enumerate(files):
        os.utime(path, (at, at))
    determined._remove_oldest(own_cache, sum(path.stat().st_size for path in files[2:]))
    assert set(own_cache.iterdir()) == set(files[2:])
