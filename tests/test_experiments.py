"""Every experiment: imported, expanded, validated; one run each of some of its programs is trained for two steps (slow)."""

import ast
import dataclasses
import os
from pathlib import Path

import pytest

from lanes.describe.experiment_files import load_module, runs_of
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus, RequestError

CHECKOUT = Path(__file__).parents[1]
FILES = sorted(path for path in (CHECKOUT / "experiments").glob("*.py") if path.name != "__init__.py")
BESIDE = CHECKOUT.parent / "shared" / "tfds"
DATA_DIR = os.environ.get("TFDS_DATA_DIR") or (str(BESIDE) if BESIDE.is_dir() else None)
PROGRAMS = 3  # of an experiment, at most
OPTIONS = Options(devices=1, width=1, quiet=True, data_dir=DATA_DIR)


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES])
def path(request) -> Path:
    return request.param


def plan_of(requested):
    """The plan of an experiment's runs; skipped where a data set of it has not been prepared on this machine."""
    try:
        return make_plan(requested, OPTIONS)
    except RequestError as error:
        if "prepare_data.py" in str(error) or "holds no sweep" in str(error):
            pytest.skip(f"not there on this machine: {error}")
        raise


def test_its_docstring_holds_the_question_and_the_command(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert f"experiments/{path.stem}" in text
    assert "python scripts/" in text
    assert len(text.split("python scripts/")[0].strip()) > 20, "a question, or a claim, comes first"


def expanded(path: Path) -> list:
    """The experiment's runs; skipped where it goes on from another experiment's directory that is not there."""
    try:
        return runs_of(path)
    except RequestError as error:
        if "holds no sweep" in str(error):
            pytest.skip(f"goes on from another experiment: {error}")
        raise


def test_it_expands_into_runs(path):
    assert callable(load_module(path).sweep)
    assert len(expanded(path)) >= 1


@pytest.mark.slow
def test_every_run_of_it_is_valid(path):
    requested = expanded(path)
    plan = plan_of(requested)
    assert 1 <= len(plan.planned) <= len(requested)  # names that mean the same are one run
    assert all(plan.parameters(one.signature) > 0 for one in plan.planned)


@pytest.mark.slow
def test_runs_of_it_train_for_two_steps(path, tmp_path):
    """One run of each training program, of at most three, spread over the experiment; all runs are validated above."""
    every = list({one.signature: one.run for one in plan_of(expanded(path)).planned}.values())
    short = []
    for run in every[:: -(-len(every) // PROGRAMS)]:
        short.append(dataclasses.replace(run, steps=2, train_examples=run.batch_size, init_from=None))
    outcome = run_sweep(plan_of(short), tmp_path / "out", OPTIONS)
    assert outcome.failures == ()
    assert outcome.status == ExitStatus.DONE
    assert outcome.ended == outcome.planned
