"""Files of a sweep that travel between the driver's directory and a worker that does not see it.

The files are those of the directory, byte for byte: sealed with its identity, so that whoever reads them verifies them.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from lanes.cluster.messages import Files
from lanes.files import make_folder, temporary_beside, write_bytes
from lanes.storage import checkpoints
from lanes.storage.directory import Directory
from lanes.storage.plausible import modules_in
from lanes.storage.records import known_runs

CHECKPOINTS = "checkpoints"
LAST = ("curves", CHECKPOINTS, "stops", "rungs", "results")  # folders in the order in which their files are written


def of_plan(directory: Directory) -> Files:
    """The plan: sweep.json, the table of runs, and the copies of the experiment and its modules."""
    names = [directory.sweep_file.name, directory.runs_file.name, *copies(directory)]
    return {name: (directory.path / name).read_bytes() for name in names}


def copies(directory: Directory) -> list[str]:
    """The paths of the copies of experiments and of the modules beside them."""
    known = known_runs(directory)
    if known.empty:
        return []
    found = set(known["experiment"].dropna())
    for beside in known["experiment_modules"].dropna().unique():
        if (inside := modules_in(beside)) is not None:
            _, folder, modules = inside
            found |= {f"{folder}/{path}" if folder else path for path in modules}
    return sorted(found)


def of_packs(directory: Directory, packs: Iterable[str], run_ids: Iterable[str]) -> Files:
    """What there is of packs and their runs: checkpoints, curves, standings, requests to stop, and results."""
    found: Files = {}
    for pack in packs:
        parts = [directory.curves / f"{pack}.parquet", directory.results / f"{pack}.parquet"]
        parts += sorted(directory.rungs.glob(f"*/{pack}.parquet"))
        for path in parts:
            with contextlib.suppress(FileNotFoundError):
                found[str(path.relative_to(directory.path))] = path.read_bytes()
        folder = directory.checkpoints / pack
        states = [folder / str(number) for number in checkpoints.numbers_in(folder)]
        if newest := next((path for path in states if (path / checkpoints.CHECKSUMS).is_file()), None):
            for path in (*checkpoints.files(newest), newest / checkpoints.CHECKSUMS):
                found[str(path.relative_to(directory.path))] = path.read_bytes()
    for run_id in run_ids:
        path = directory.path / "stops" / f"{run_id}.json"
        with contextlib.suppress(FileNotFoundError):
            found[str(path.relative_to(directory.path))] = path.read_bytes()
    return found


def write(root: Path, files: Files) -> None:
    """Write files into a directory, each whole or not at all, and results last: what they rely on is there then.

    Raises OSError if one cannot be written, and ValueError for a path that leads out of the directory.
    """
    states: dict[PurePosixPath, Files] = {}
    for name in sorted(files, key=_order):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{name} is not a path in a sweep's directory")
        if path.parts[0] == CHECKPOINTS:
            state = PurePosixPath(*path.parts[:3])
            states.setdefault(state, {})[str(path.relative_to(state))] = files[name]
    for name in sorted(files, key=_order):
        path = PurePosixPath(name)
        if path.parts[0] != CHECKPOINTS:
            make_folder(root / path.parent, root)
            write_bytes(root / path, files[name])
        elif state_files := states.pop(PurePosixPath(*path.parts[:3]), None):
            _write_state(root, root.joinpath(*path.parts[:3]), state_files)


def _order(name: str) -> tuple[int, str]:
    first = name.partition("/")[0]
    return (LAST.index(first) if first in LAST else -1), name


def _write_state(root: Path, path: Path, files: Files) -> None:
    """Write a checkpoint under a temporary name, rename it, and delete earlier ones of its pack."""
    make_folder(path.parent, root)
    work = temporary_beside(path)
    try:
        for name, content in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(work / name, content)
        if os.path.lexists(path):
            if not checkpoints.is_ours(path):
                checkpoints.set_aside(path)
            else:
                shutil.rmtree(path)
        os.rename(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for other in path.parent.iterdir():
        is_number = checkpoints.NUMBER.fullmatch(other.name)
        if is_number and int(other.name) < int(path.name) and checkpoints.is_ours(other):
            shutil.rmtree(other, ignore_errors=True)


def remove(directory: Directory, packs: Iterable[str]) -> None:
    """Remove what a worker's own copy of a directory has of packs."""
    for pack in packs:
        for folder in (directory.curves, directory.results, *directory.rungs.glob("*")):
            (folder / f"{pack}.parquet").unlink(missing_ok=True)
        shutil.rmtree(directory.checkpoints / pack, ignore_errors=True)
