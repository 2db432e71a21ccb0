"""Fault injection: a few seeded cases of each kind by default, all of them with

python -m pytest tests/faults --full
"""

import injuries
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: as many faults as docs/faults.md reports."""
    parser.addoption("--full", action="store_true", default=False, help="inject every fault, not a seeded few")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to inject every fault."""
    return bool(request.config.getoption("--full", default=False))


@pytest.fixture(scope="session")
def many(full: bool):
    """`many(few, everything)`: how many faults to inject."""
    return lambda few, everything: everything if full else few


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, private_cache: None) -> "injuries.Reference":  # noqa: ARG001
    """The small sweep, uninterrupted, in its own process."""
    out = tmp_path_factory.mktemp("reference") / "sweep"
    status, text = injuries.finish(injuries.start(out))
    assert status == 0, text
    return injuries.Reference(out)
