"""Claims: one holder each, named by process and host; they end with their process, and follow no link."""

import os
import platform
import subprocess
import sys

import pytest

from lanes.storage.claims import Claims


def test_a_claim_has_one_holder_and_ends_with_its_process(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take("a")
    assert not first.take("a")
    assert not second.take("a")
    assert second.take("b")
    first.release("a")
    assert second.take("a")
    second.release_all()
    assert not list((tmp_path / "claims").iterdir())
    code = (
        "import os, pathlib, sys; from lanes.storage.claims import Claims; "
        "Claims(pathlib.Path(sys.argv[1])).take('c'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert first.take("c")


def test_a_claim_names_its_holder(tmp_path):
    mine, other = Claims(tmp_path), Claims(tmp_path)
    assert mine.take("a")
    assert other.holder("a") == f"process {os.getpid()} on {platform.node()}"
    assert other.holder("b") == "another worker"


def test_no_claim_is_made_through_a_link(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    (outside / "claims").mkdir(parents=True)
    inside.mkdir()
    claims = Claims(inside)
    assert claims.take("a")
    claims.release("a")
    (inside / "claims" / "b").symlink_to(outside / "claims" / "canary")
    assert claims.take("b")
    claims.release("b")
    assert not list((outside / "claims").iterdir())
    (aside,) = (inside / "claims").iterdir()
    assert aside.is_symlink()
    aside.unlink()
    (inside / "claims").rmdir()
    (inside / "claims").symlink_to(outside / "claims", target_is_directory=True)
    with pytest.raises(OSError, match="is a link"):
        claims.take("c")
