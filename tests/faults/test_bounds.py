"""Long sweeps stay within bounds: files, descriptors, memory, and the time to resume."""

import os
import time

import numpy as np
import pandas as pd
import pytest
from injuries import Reference, assert_same, copy, ignore, resume

import lanes
from lanes.storage import compaction
from lanes.storage.directory import Directory


def results_of(pack: str, count: int) -> pd.DataFrame:
    ids = [f"{pack}{at:04x}" for at in range(count)]
    return pd.DataFrame({"run_id": ids, "status": "done", "valid_loss": np.arange(count) / 7, "diverged_step": None})


def curves_of(pack: str, count: int) -> pd.DataFrame:
    rows = [(f"{pack}{at:04x}", epoch, at / epoch) for at in range(count) for epoch in (1, 2)]
    return pd.DataFrame(rows, columns=["run_id", "epoch", "valid_loss"]).astype({"epoch": np.int32})


@pytest.fixture
def many_parts(tmp_path):
    """A directory with the parts of 23 ended packs, a failed one and an unfinished one."""
    directory = Directory(tmp_path / "sweep", ignore)
    directory.create()
    for number in range(23):
        pack = f"{number:012x}"
        directory.write_part(directory.curves, pack, curves_of(pack, 3))
        directory.write_part(directory.results, pack, results_of(pack, 3))
    directory.write_part(directory.results, "fa", results_of("fa", 2).assign(status="failed"))
    directory.write_part(directory.curves, "ab", curves_of("ab", 2))
    return directory


def files(directory: Directory) -> list[str]:
    return sorted(path.name for folder in (directory.results, directory.curves) for path in folder.iterdir())


def test_joined_parts_are_read_as_before(many_parts):
    before = [many_parts.read_parts(folder) for folder in (many_parts.results, many_parts.curves)]
    compaction.join_parts(many_parts, packs=10)
    assert len(files(many_parts)) == 2 * (2 + 3) + 2
    compaction.join_parts(many_parts, packs=10)
    for reader in (many_parts, Directory(many_parts.path)):
        for folder, table in zip((reader.results, reader.curves), before):
            keys = [name for name in ("run_id", "epoch") if name in table]
            seen = reader.read_parts(folder).sort_values(keys, ignore_index=True)[table.columns]
            pd.testing.assert_frame_equal(seen, table.sort_values(keys, ignore_index=True), check_dtype=False)
        assert reader.has_ended(f"{3:012x}")
        assert not reader.has_ended("fa")
        assert not reader.has_ended("ab")
        expected = curves_of(f"{3:012x}", 3)
        seen = reader.read_part(reader.curves, f"{3:012x}")[expected.columns]
        pd.testing.assert_frame_equal(seen, expected, check_dtype=False)


@pytest.mark.parametrize("at", range(8))
def test_a_kill_while_joining_loses_and_duplicates_nothing(many_parts, monkeypatch, at):
    count = [0]
    unlink = type(many_parts.path).unlink

    def killed(path, *args, **kwargs):
        count[0] += path.suffix == ".parquet"
        if count[0] > at:
            raise KeyboardInterrupt
        unlink(path, *args, **kwargs)

    before = [len(many_parts.read_parts(folder)) for folder in (many_parts.results, many_parts.curves)]
    monkeypatch.setattr(type(many_parts.path), "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        compaction.join_parts(many_parts, packs=6)
    monkeypatch.undo()
    reader = Directory(many_parts.path, ignore)
    assert [len(reader.read_parts(folder)) for folder in (reader.results, reader.curves)] == before
    compaction.join_parts(reader, packs=6)
    assert [len(reader.read_parts(folder)) for folder in (reader.results, reader.curves)] == before


@pytest.mark.slow
def test_a_damaged_joined_part_is_made_again(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    compaction.join_parts(Directory(out), packs=3)
    assert len(list((out / "results").iterdir())) == 1
    assert_same(out, reference)
    for folder in ("results", "curves"):
        (part,) = (path for path in (out / folder).iterdir() if not path.name.startswith("damaged"))
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 4
        part.write_bytes(content)
        lines = []
        assert resume(out, lines.append) == 0
        assert any(part.name in line for line in lines)
        assert_same(out, Reference(reference.path))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> float:
    """Resident memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_memory_descriptors_and_files_over_many_packs(tmp_path, monkeypatch, many):
    from lanes import Run, grid
    from lanes.data.generated_sets import Blobs
    from lanes.engine import session
    from nets import MLP

    packs = many(60, 220)
    base = Run(data=Blobs(n=60), net=MLP(widths=(2,)), batch_size=8, epochs=1)
    seen = []
    after = session.Session._after

    def watched(self, pack):  # in the writer's thread, between the files of two packs
        after(self, pack)
        seen.append((resident(), descriptors()))

    monkeypatch.setattr(session.Session, "_after", watched)
    lanes.sweep(grid(base, seed=range(2 * packs)), tmp_path / "sweep", width=2, devices=1, quiet=True, pack_lanes=2)
    assert len(seen) == packs
    (early, opened), (late, still) = seen[packs // 3], seen[-1]
    print(f"packs {packs // 3} to {packs}: {early:.0f} to {late:.0f} MB, {opened} to {still} descriptors")
    assert late - early < 0.15 * packs  # MB
    assert still <= opened + 2
    assert (
        len(list((tmp_path / "sweep" / "results").iterdir()))
        <= 1 + packs // compaction.PACKS + packs % compaction.PACKS
    )
    assert not list((tmp_path / "sweep" / "claims").iterdir())
    assert len(lanes.load(tmp_path / "sweep")) == 2 * packs


def finished_directory(out, runs: list, options) -> None:
    """Write what a sweep of these runs leaves, with made-up results and curves."""
    from lanes.engine.requests import make_plan
    from lanes.plan.widths import Choice
    from lanes.storage import records
    from lanes.storage.provenance import Call

    plan = make_plan(runs, options)
    directory = Directory(out, ignore)
    directory.create()
    packs = records.record(plan.planned, directory, dict.fromkeys(plan.shapes, Choice(8, "given")), Call(plan.places))
    for pack in packs:
        ids = [member.run_id for member in pack.members]
        done = {"status": "done", "epochs": 20, "best_epoch": 20, "penalty": 0.0, "valid_loss": 0.5, "test_loss": 0.5}
        directory.write_part(directory.results, pack.pack_id, pd.DataFrame({"run_id": ids, **done, "seconds": 0.1}))
        curve = pd.DataFrame(
            {"run_id": np.repeat(ids, 20), "epoch": np.tile(np.arange(1, 21, dtype=np.int32), len(ids))}
        )
        directory.write_part(directory.curves, pack.pack_id, curve.assign(batch_loss=np.float32(0.1)))
    compaction.join_parts(directory)


@pytest.mark.slow
def test_a_finished_directory_is_resumed_quickly(tmp_path, many):
    from lanes import Run, grid
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from nets import MLP

    count = many(5_000, 100_000)
    base = Run(data="digits", net=MLP(widths=(16,)), epochs=20)
    axes = {
        "activation": ["relu", "tanh"],
        "learning_rate": list(np.linspace(1e-4, 1e-2, count // 40)),
        "l2": [0, 1e-4],
    }
    options = Options(devices=1, quiet=True)
    finished_directory(tmp_path / "sweep", grid(base, **axes, seed=range(10)), options)
    began = time.process_time()
    requested = grid(base, **axes, seed=range(10))
    gridded = time.process_time()
    plan = make_plan(requested, options)
    planned = time.process_time()
    outcome = run_sweep(plan, tmp_path / "sweep", options)
    ended = time.process_time()
    print(f"{count} runs: grid {gridded - began:.1f} s, plan {planned - gridded:.1f} s, resume {ended - planned:.1f} s")
    assert (outcome.status, outcome.ended, outcome.trained) == (0, count, 0)
    assert ended - planned < 2 * (planned - began)  # to read all results costs little beside planning the runs
