"""Injuries for real: a seeded few of each in the normal run, all of them by

python -m pytest tests/faults --full
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import injuries


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: as many injuries as the promise was made for."""
    parser.addoption("--full", action="store_true", default=False, help="every injury, not a seeded few")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether every injury is asked for."""
    return bool(request.config.getoption("--full", default=False))


@pytest.fixture(scope="session")
def many(full: bool):
    """`many(few, all)`: how many injuries."""
    return lambda few, everything: everything if full else few


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, private_cache: None) -> "injuries.Reference":  # noqa: ARG001
    """The small sweep, uninterrupted, by a process of its own."""
    out = tmp_path_factory.mktemp("reference") / "sweep"
    status, text = injuries.finish(injuries.start(out))
    assert status == 0, text
    return injuries.Reference(out)
