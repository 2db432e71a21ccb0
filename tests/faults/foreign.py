"""Intact files in the wrong place: exchanged, older, renamed, copied from a running sweep or from another one."""

import contextlib
import dataclasses
import functools
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from injuries import PROGRAMS, Reference, ignore
from small_sweeps import OVERLAPPING

from lanes import Halving, Run, grid
from lanes.engine.options import Options
from lanes.engine.requests import Plan, make_plan
from lanes.engine.runner import run_sweep
from lanes.storage import checkpoints, seals
from lanes.storage.directory import Directory
from nets import MLP

BASE = Run(data=OVERLAPPING, net=MLP(widths=(4,)), batch_size=16, epochs=4)
RUNS = grid(BASE, learning_rate=[1e-2, 3e-2, 1e-1], seed=range(4))
OTHER_SEEDS = grid(BASE, learning_rate=[1e-2, 3e-2, 1e-1], seed=range(4, 8))
OPTIONS = Options(width=4, devices=1, pack_lanes=4, chunk_seconds=0.0, quiet=True, programs=PROGRAMS)
FOLDERS = ("results", "curves", "checkpoints", "rungs")


def train(
    out: Path,
    halving: Halving | None = None,
    runs: Sequence[Run] = RUNS,
    warn: Callable[[str], None] = ignore,
    after_chunk: Callable[[object, int], None] | None = None,
) -> int:
    """Sweep in packs of four lanes and chunks of one epoch; returns the exit status."""
    options = dataclasses.replace(OPTIONS, halving=halving, after_chunk=after_chunk)
    return run_sweep(_plan(tuple(runs), halving), out, options, warn=warn).status


@functools.cache
def _plan(runs: tuple[Run, ...], halving: Halving | None) -> Plan:
    return make_plan(runs, dataclasses.replace(OPTIONS, halving=halving))


class World:
    """A sweep, copies made of it while it ran, and others from which files come.

    Without halving it is begun with some of its runs, and the others are added.

    Attributes:
        reference: the finished sweep.
        halving: its halving.
        states: copies of its directory, oldest first, the last one finished.
    """

    def __init__(self, at: Path, halving: Halving | None = None):
        self.at, self.halving = at, halving
        self.states: list[Path] = []
        for runs in [RUNS] if halving else [RUNS[:8], RUNS]:
            assert train(at / "sweep", halving, runs, after_chunk=self._keep) == 0
            self._keep()
        self.reference = Reference(at / "sweep")

    def _keep(self, *_: object) -> None:
        self.states.append(self.at / f"state-{len(self.states)}")
        copy_running(self.at / "sweep", self.states[-1])

    @functools.cached_property
    def wrong(self) -> Path:
        """A sweep of the same runs with other numbers, which no reader may take."""
        assert train(self.at / "wrong", self.halving) == 0
        bend(self.at / "wrong")
        return self.at / "wrong"

    @functools.cached_property
    def seeds(self) -> Path:
        """A sweep of the same experiment with other seeds."""
        assert train(self.at / "seeds", self.halving, OTHER_SEEDS) == 0
        return self.at / "seeds"


def bend(out: Path) -> None:
    """Other numbers in every file of a finished sweep, which stays intact: wrong ones are seen wherever they are taken."""
    directory = Directory(out, ignore)
    known = directory.marks(directory.results)
    for pack in sorted(path.name for path in directory.checkpoints.iterdir()):
        number, leaves = checkpoints.read(directory.checkpoints / pack)
        leaves = {name: leaf + 1 if leaf.dtype == np.float32 else leaf for name, leaf in leaves.items()}
        mark = seals.mark_of(number, leaves)
        shutil.rmtree(directory.checkpoints / pack / str(number))
        directory.save_checkpoint(pack, mark, int(np.max(leaves["epochs"])), leaves)
        for folder in (directory.results, directory.curves):
            if pack in known:
                part = directory.read_part(folder, pack)
                directory.write_part(folder, pack, _bent(part), {pack: mark})
    for folder in sorted(directory.rungs.glob("*/")):
        for path in sorted(folder.glob("*.parquet")):
            directory.write_part(folder, path.stem, _bent(directory.read_part(folder, path.stem)))


def _bent(table: pd.DataFrame) -> pd.DataFrame:
    floats = [name for name in table.columns if table[name].dtype.kind == "f" and name != "seconds"]
    return table.assign(**{name: 1 - table[name] for name in floats})


def copy_running(source: Path, target: Path) -> None:
    """`cp -r` of a sweep that runs: files that vanish meanwhile are left out."""
    with contextlib.suppress(shutil.Error):
        shutil.copytree(source, target)


# ---- injuries ----------------------------------------------------------------------------------------------------


def injure(out: Path, world: World, chance: random.Random, injury: "Injury") -> str:
    """Make `out` a copy of the sweep in some state, with intact files in wrong places; returns what was done."""
    shutil.rmtree(out, ignore_errors=True)
    state = chance.choice([world.states[-1], world.states[-1], *world.states[:-1]])
    shutil.copytree(state, out)
    return f"{state.name}: {injury(out, world, chance)}"


def exchange(out: Path, world: World, chance: random.Random) -> str:
    """Two packs' folders or files."""
    folder = out / chance.choice(FOLDERS)
    found = [[path for path in paths if "damaged" not in path.name] for paths in _alike(folder)]
    found = [paths for paths in found if len(paths) > 1]
    if not found:
        return replay(out, world, chance)
    one, other = chance.sample(chance.choice(found), 2)
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)
    return f"{one.relative_to(out)} and {other.relative_to(out)} exchanged"


def replay(out: Path, world: World, chance: random.Random) -> str:
    """Older files put back."""
    older = chance.choice(world.states[:-1])
    return f"from {older.name}: {_take(out, older, chance)}"


def rename(out: Path, world: World, chance: random.Random) -> str:
    """A file or folder under another number or pack's name."""
    folder = out / chance.choice(FOLDERS)
    paths = [path for paths in _alike(folder) for path in paths]
    if not paths:
        return replay(out, world, chance)
    one = chance.choice(paths)
    names = ["33", "1", "3" * 16, *(path.stem for path in paths if path.stem != one.stem)]
    target = one.with_name(chance.choice(names) + one.suffix)
    _remove(target)
    one.rename(target)
    return f"{one.relative_to(out)} renamed {target.name}"


def copied_while_running(out: Path, world: World, chance: random.Random) -> str:
    """Each file and folder as it was at another moment."""
    moments = {}
    for path in sorted(out.iterdir()):
        moments[path.name] = chance.choice(world.states)
        _remove(path)
        _copy(moments[path.name] / path.name, path)
    return "copied while running: " + ", ".join(f"{name} {state.name}" for name, state in moments.items())


def mixed_files(out: Path, world: World, chance: random.Random) -> str:
    """Each pack's files as they were at another moment."""
    for folder in (out / name for name in FOLDERS):
        for path in sorted(folder.rglob("*")) if folder.name != "checkpoints" else sorted(folder.glob("*")):
            if path.is_dir() and folder.name != "checkpoints":
                continue
            source = chance.choice(world.states) / path.relative_to(out)
            _remove(path)
            _copy(source, path)
    return "each file of another moment"


def foreign(out: Path, world: World, chance: random.Random) -> str:
    """Files of a sweep of the same runs, or of other seeds."""
    other = world.seeds if chance.random() < 0.3 else world.wrong
    return f"from {other.name}: {_take(out, other, chance)}"


Injury = Callable[[Path, World, random.Random], str]
INJURIES: tuple[Injury, ...] = (exchange, replay, rename, copied_while_running, mixed_files, foreign, foreign)


def _alike(folder: Path) -> list[list[Path]]:
    """Files or folders of one kind: those in a folder, and those in its folders."""
    if not folder.is_dir():
        return []
    below = [sorted(path.iterdir()) for path in sorted(folder.iterdir()) if path.is_dir()]
    numbers = [path for paths in below for path in paths]
    folders, files = (sorted(path for path in folder.iterdir() if path.is_dir() == is_dir) for is_dir in (True, False))
    return [folders, files, numbers]


def _take(out: Path, other: Path, chance: random.Random) -> str:
    """Replace some of the files of a directory by another's of the same names, or add them."""
    top = ["runs.parquet", "runs.copy.parquet", "sweep.json"]
    folders = [name for name in FOLDERS if (other / name).is_dir()]
    inside = [str(path.relative_to(other)) for name in folders for path in sorted((other / name).iterdir())]
    groups = [[name] for name in [*top, *folders, *inside, *inside]] + [
        top[:2],
        top[:2],
        [*top[1:], "results"],
        ["results", "curves"],
    ]
    names = chance.choice(groups)
    for name in names:
        _remove(out / name)
        _copy(other / name, out / name)
    return " ".join(names)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Copy what is there; nothing otherwise."""
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy(source, target)
