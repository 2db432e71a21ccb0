"""What a call records of the code that made its numbers."""

import subprocess

import pytest

from lanes.storage import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with a tracked file, and git in it."""

    def git(*words):
        about = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *about, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    (tmp_path / "tracked.py").write_text("1\n")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "tracked.py"))
    git("init", "-q")
    git("add", "tracked.py")
    return git


def test_the_revision_and_whether_tracked_files_differ_from_it(checkout, tmp_path):
    read = provenance._git.__wrapped__
    assert read() == (None, None)  # nothing is committed
    checkout("commit", "-qm", "first")
    revision = checkout("rev-parse", "HEAD").strip()
    (tmp_path / "untracked.py").write_text("2\n")
    assert read() == (revision, False)
    (tmp_path / "tracked.py").write_text("3\n")
    assert read() == (revision, True)


def test_outside_a_checkout_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "here.py"))
    assert provenance._git.__wrapped__() == (None, None)
