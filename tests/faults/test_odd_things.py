"""Pipes, sockets, devices, links, folders and sparse files in the places of a directory's files: named, never waited for."""

import os
import random
import shutil
import socket
from pathlib import Path

import outside
import pytest
from crafting import checkpoint_of
from injuries import assert_no_wrong_numbers, assert_same

PLACES = (
    "runs.parquet",
    "runs.copy.parquet",
    "sweep.json",
    "experiment.py",
    "report.html",
    "results/PACK.parquet",
    "results/0123456789ab.parquet",
    "curves/PACK.parquet",
    "rungs/2.json",
    "claims/PACK",
    "claims/plan",
    "checkpoints/PACK",
    "checkpoints/PACK/N",
    "checkpoints/PACK/99",
    "checkpoints/PACK/N/checksums.json",
    "checkpoints/PACK/N/_METADATA",
    "results",
    "curves",
    "claims",
)
KINDS = (
    "pipe",
    "socket",
    "folder",
    "link outside",
    "link to a folder",
    "link to nothing",
    "link to itself",
    "sparse",
    "device",
)


def put(kind: str, path: Path, folder: Path) -> None:
    """Put an odd thing in the place of a file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)
    elif kind == "folder":
        path.mkdir()
    elif kind == "sparse":
        with open(path, "wb") as file:
            file.truncate(8 << 30)
    elif kind == "device":
        os.mknod(path, 0o020666, os.makedev(1, 5))  # zeros without an end
    else:
        path.symlink_to(
            {"link outside": folder / "keep.txt", "link to a folder": folder / "folder", "link to itself": path}.get(
                kind, folder / "nothing"
            )
        )


def injure(kind: str, place: str, out: Path, folder: Path) -> None:
    """Put an odd thing in a place of a directory."""
    at = checkpoint_of(out)
    put(kind, out / place.replace("PACK", at.parent.name).replace("N", at.name), folder)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> list[str]:
    """The kinds that this user can make."""
    try:
        os.mknod(tmp_path_factory.mktemp("device") / "device", 0o020666, os.makedev(1, 5))
    except OSError:
        return [kind for kind in KINDS if kind != "device"]
    return list(KINDS)


def test_readers_name_odd_things(reference, tmp_path, kinds):
    chance = random.Random(17)
    for place in chance.sample(PLACES[:8], 4):
        kind = chance.choice(kinds)
        results = outside.check(
            lambda out, folder: injure(kind, place, out, folder),  # noqa: B023
            reference,
            tmp_path,
            actions=("load", "restore"),
        )
        for status, lines in results.values():
            assert status in (0, 2, 3), (kind, place, lines)


@pytest.mark.slow
def test_odd_things_are_named_and_nothing_waits_for_them(reference, tmp_path, kinds, many):
    """The files of a directory are named; a resume goes on without them, or says in one line what is in its way."""
    pairs = [(kind, place) for place in PLACES for kind in kinds]
    wrong = {}
    for kind, place in random.Random(19).sample(pairs, many(6, len(pairs))):
        try:
            results = outside.check(lambda out, folder: injure(kind, place, out, folder), reference, tmp_path)  # noqa: B023
            assert_no_wrong_numbers(tmp_path / "sweep", reference)
            if results["resume"][0] == 0 and "/N/" not in place:  # a finished checkpoint is verified when it is read
                assert_same(tmp_path / "sweep", reference)
        except Exception as error:
            wrong[f"{kind} as {place}"] = f"{type(error).__name__}: {error}"[:400]
    assert not wrong
