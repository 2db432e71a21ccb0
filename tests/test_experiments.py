"""Every experiment is imported, expanded and (slow) validated; up to three of its programs train one run for two steps."""

import ast
import dataclasses
import os
import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from lanes.describe.experiment_files import load_module, runs_of
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.errors import ExitStatus, RequestError
from lanes.results.reproducing import as_png, find, question, read_record, recorded_results, stated
from lanes.results.verdicts import differing

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "experiments"
FILES = sorted(path for path in FOLDER.rglob("*.py") if path.name != "__init__.py")
JUDGED = [path for path in FILES if path.parent != FOLDER]
SIBLING = CHECKOUT.parent / "shared" / "tfds"
DATA_DIR = os.environ.get("TFDS_DATA_DIR") or (str(SIBLING) if SIBLING.is_dir() else None)
PROGRAMS = 3  # trained per experiment, at most
QUICK = ("xor", "l1_selects_l2_shrinks", "gates_and_regions")  # compile in seconds
OPTIONS = Options(devices=1, width=1, quiet=True, data_dir=DATA_DIR)


@pytest.fixture(params=FILES, ids=[path.stem for path in FILES])
def path(request) -> Path:
    return request.param


def plan_of(requested):
    """The plan of an experiment's runs; skips the test if a data set that it needs is missing here."""
    try:
        return make_plan(requested, OPTIONS)
    except RequestError as error:
        if "lanes prepare" in str(error):
            pytest.skip(f"missing on this machine: {error}")
        raise


def test_its_docstring_has_the_question_and_the_command(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    command = f"lanes reproduce {path.stem}" if path in JUDGED else f"experiments/{path.stem}"
    assert f".venv/bin/{command}" in text or (command in text and ".venv/bin/" in text)
    assert len(text.split(".venv/bin/")[0].strip()) > 20, "the question comes first"


@pytest.mark.parametrize("path", JUDGED, ids=[path.stem for path in JUDGED])
def test_what_is_judged_is_short_and_names_its_source(path):
    (one,) = find([path.stem], FOLDER)
    assert question(one.module).endswith("?")
    assert stated(one.module, "Source")
    assert callable(one.module.figure)


@pytest.mark.parametrize("path", JUDGED, ids=[path.stem for path in JUDGED])
def test_its_recorded_results_give_the_recorded_verdict_and_a_picture(path):
    (one,) = find([path.stem], FOLDER)
    if not one.recorded.is_file():
        pytest.skip("not recorded yet")
    results = recorded_results(one)
    verdict = one.module.verdict(results)
    assert differing(read_record(one.recorded), verdict) == []
    expected = stated(one.module, "Expected")
    assert expected.startswith(f"{verdict.outcome}; {verdict.sentence} (about "), (
        "the docstring states what is recorded"
    )
    assert re.search(r"\(about \d+ s of processor time(, beside one [^()]+)?\)\.$", expected)
    assert as_png(one.module.figure(results), one).startswith(b"\x89PNG")
    plt.close("all")


def test_the_gallery_is_written_from_what_is_recorded():
    written = runpy.run_path(str(CHECKOUT / "scripts" / "write_gallery.py"))
    assert written["page"]() == (FOLDER / "README.md").read_text(encoding="utf-8"), "run scripts/write_gallery.py"
    results = (CHECKOUT / "docs" / "results.md").read_text(encoding="utf-8")
    assert written["with_verdicts"](results) == results, "run scripts/write_gallery.py"


def test_it_imports_only_public_names(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in modules if module.split(".")[0] in ("lanes", "nets", "losses")}
    assert ours <= {"lanes", "lanes.analysis", "nets", "losses"}


def expanded(path: Path) -> list:
    """The experiment's runs; skips the test if it has none."""
    if path in JUDGED and not hasattr(load_module(path), "sweep"):
        pytest.skip("measures without training a run")
    return runs_of(path)


def test_it_expands_into_runs(path):
    assert len(expanded(path)) >= 1


@pytest.mark.slow
def test_all_its_runs_are_valid(path):
    requested = expanded(path)
    plan = plan_of(requested)
    assert 1 <= len(plan.planned) <= len(requested)  # runs that differ only by a synonym are one run
    assert all(plan.parameters(planned.signature) > 0 for planned in plan.planned)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow) for path in FILES],
    ids=[path.stem for path in FILES],
)
def test_its_programs_train_for_two_steps(path, tmp_path):
    """One run of each of at most three programs, spread over the experiment."""
    by_program = list({planned.signature: planned.run for planned in plan_of(expanded(path)).planned}.values())
    short = []
    for run in by_program[:: -(-len(by_program) // PROGRAMS)]:
        short.append(dataclasses.replace(run, steps=2, train_examples=run.batch_size, init_from=None))
    outcome = run_sweep(plan_of(short), tmp_path / "out", OPTIONS)
    assert outcome.failures == ()
    assert outcome.status == ExitStatus.DONE
    assert outcome.ended == outcome.planned
