"""A stopped sweep saves its work and prints how to resume; a full or read-only disk gives one line and loses nothing."""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from injuries import assert_no_wrong_numbers, assert_same, copy, finish, kill, resume, start, wait_for_training

from lanes.program.memory import is_exhausted
from lanes.storage.writer import Writer


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_and_exits(reference, tmp_path, number):
    out = tmp_path / "sweep"
    process = start(out, "slow=0.1")
    wait_for_training(process)
    time.sleep(1.0)
    process.send_signal(number)
    stopped = time.monotonic()
    status, text = finish(process)
    assert status == 75, text
    assert time.monotonic() - stopped < 10
    assert "Traceback" not in text
    assert_no_wrong_numbers(out, reference)
    assert resume(out) == 0
    assert_same(out, reference)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang=60", "slow=4", "slow=60"])
def test_a_chunk_or_a_disk_that_takes_too_long_does_not_delay_a_stop(reference, tmp_path, fault):
    """Some machines are taken away fifteen seconds after SIGTERM; schedulers believe the status."""
    out = tmp_path / "sweep"
    process = start(out, fault)
    wait_for_training(process, "waiting")
    process.send_signal(signal.SIGTERM)
    stopped = time.monotonic()
    status, text = finish(process)
    took = time.monotonic() - stopped
    print(f"{fault}: {took:.1f} s from SIGTERM to exit")
    assert (status, took < 10) == (75, True), text
    assert "Traceback" not in text
    assert "cannot be written" not in text
    assert_no_wrong_numbers(out, reference)
    assert resume(out) == 0
    assert_same(out, reference)


@pytest.mark.slow
def test_a_second_interrupt_exits_at_once(reference, tmp_path):
    out = tmp_path / "sweep"
    process = start(out, "slow=3")
    wait_for_training(process)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    stopped = time.monotonic()
    finish(process)
    assert time.monotonic() - stopped < 2
    assert resume(out) == 0
    assert_same(out, reference)


@pytest.mark.slow
def test_a_time_limit(reference, tmp_path):
    out = tmp_path / "sweep"
    status, text = finish(start(out, "slow=0.2", "seconds=1.5"))
    assert status == 75, text
    assert resume(out) == 0
    assert_same(out, reference)


@pytest.mark.parametrize(
    ("number", "after"),
    [
        (errno.ENOSPC, 1),  # runs.parquet
        pytest.param(errno.EROFS, 5, marks=pytest.mark.slow),  # curves or a checkpoint's checksums
        pytest.param(errno.ENOSPC, 10, marks=pytest.mark.slow),
        pytest.param(errno.EDQUOT, 18, marks=pytest.mark.slow),
    ],
)
def test_writes_that_fail(reference, tmp_path, number, after):
    out = tmp_path / "sweep"
    status, text = finish(start(out, f"fail={number},{after}"))
    assert status in (3, 75), text
    assert "Traceback" not in text
    assert os.strerror(number) in text
    assert len(re.findall(r"cannot be (?:read or )?written", text)) == 1, text
    if (out / "runs.parquet").exists():
        assert_no_wrong_numbers(out, reference)
    assert resume(out) == 0
    assert_same(out, reference)


def test_tensorstores_error_for_a_full_disk_is_not_taken_for_exhausted_memory():
    """The error has the code that XLA uses for exhausted memory, on which a pack is trained again at half its width."""

    def write():
        raise ValueError(
            'RESOURCE_EXHAUSTED: Error writing "a/0": Failed to write 660932 bytes to file 14: No space left on device '
            "[os_error_code='28']"
        )

    writer = Writer()
    writer.submit(write)
    with pytest.raises(OSError, match="No space left on device") as caught:
        writer.close()
    assert caught.value.errno == errno.ENOSPC
    assert not is_exhausted(caught.value)
    assert is_exhausted(RuntimeError("RESOURCE_EXHAUSTED: Out of memory"))


@pytest.fixture
def small_disk(tmp_path):
    """A mounted file system of 1.5 MB."""
    at = tmp_path / "disk"
    at.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(at)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root; test_writes_that_fail simulates a full and a read-only disk")
    yield at
    subprocess.run(["umount", "-l", str(at / "sweep")], capture_output=True)
    subprocess.run(["umount", "-l", str(at)], check=True)


@pytest.mark.slow
def test_a_full_disk(reference, tmp_path, small_disk):
    out = small_disk / "sweep"
    filler = small_disk / "filler"
    process = start(out, "slow=0.1")
    wait_for_training(process)
    time.sleep(1.0)
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)
    status, text = finish(process)
    assert status in (3, 75), text
    assert "Traceback" not in text
    assert "o space left" in text, text
    filler.unlink()
    assert_no_wrong_numbers(out, reference)
    kept = copy(out, tmp_path / "kept")
    shutil.rmtree(out)
    assert resume(kept) == 0
    assert_same(kept, reference)


@pytest.mark.slow
def test_a_disk_that_becomes_read_only(reference, small_disk):
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    out = small_disk / "sweep"
    process = start(out, "slow=0.1")
    wait_for_training(process)
    time.sleep(1.0)
    subprocess.run(["mount", "--bind", str(out), str(out)], check=True)
    until = time.monotonic() + 10
    while subprocess.run(["mount", "-o", "remount,ro,bind", str(out)], capture_output=True).returncode:
        if time.monotonic() > until:  # a file was always open for writing
            kill(process)
            pytest.skip("the directory could not be made read-only")
    status, text = finish(process)
    assert status in (3, 75), text
    assert "Traceback" not in text
    assert "ead-only" in text, text
    assert_no_wrong_numbers(out, reference)  # reading needs no writing
    subprocess.run(["umount", "-l", str(out)], check=True)
    assert resume(out) == 0
    assert_same(out, reference)
