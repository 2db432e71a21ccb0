"""Every number of a leaderboard, recomputed from a sweep's Parquet files by pandas and SciPy alone."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_sweeps import OVERLAPPING

import lanes
from lanes import Halving, Run, grid
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.program.compiled import Programs
from lanes.reporting import sections
from lanes.results.documents import results_document
from lanes.results.leaderboard import leaderboard
from nets import MLP

pytestmark = pytest.mark.slow  # compiling takes seconds
PROGRAMS = Programs()
BASE = Run(data=OVERLAPPING, net=MLP(widths=()), optimizer="sgd", batch_size=16, epochs=6, patience=3)
SWEEP = grid(BASE, learning_rate=[1e-4, 1e-2, 0.1, 0.5, 1e38], l2=[0.0, 1e-2], seed=range(4))
OPTIONS = Options(
    devices=1,
    width=4,
    quiet=True,
    pack_lanes=8,
    programs=PROGRAMS,
    halving=Halving(rungs=(2, 4), keep=0.6),
    sharing="shared",
)
FINISHED = ("done", "stopped_early")
AXES = ["learning_rate", "l2"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A sweep with finished, early stopped, pruned, diverged and failed runs."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    chunks = []

    def failing(pack, _epoch):
        chunks.append(pack.pack_id)
        if pack.pack_id == chunks[0] and len(chunks) > 1:
            raise RuntimeError("no more memory")

    run_sweep(make_plan(SWEEP, OPTIONS), out, dataclasses.replace(OPTIONS, after_chunk=failing))
    return out


@pytest.fixture(scope="module")
def own(directory):
    """The runs with their results, read without lanes."""
    runs = pd.read_parquet(directory / "runs.parquet")[["run_id", "seed", *AXES]]
    results = pd.concat([pd.read_parquet(part) for part in sorted((directory / "results").glob("*.parquet"))])
    return runs.merge(results.drop_duplicates("run_id", keep="last"), on="run_id", how="left")


def interval(values):
    """Mean, half width and number of the finite values."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return (values.mean() if len(values) else np.nan), np.nan, len(values)
    if np.std(values, ddof=1) <= 1e-6 * np.abs(values).max():
        return values.mean(), 0.0, len(values)
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return values.mean(), (high - low) / 2, len(values)


def test_the_sweep_has_runs_of_every_kind(own):
    assert {"done", "pruned", "diverged", "failed"} <= set(own["status"])
    assert len(own) == 40
    assert own["status"].notna().all()


@pytest.mark.parametrize("metric", ["valid_loss", "valid_accuracy"])
def test_every_number_of_the_document_is_recomputed(directory, own, metric):
    (found,) = results_document(lanes.load(directory), metric)["leaderboards"]
    assert len(found["combinations"]) == 10
    for combination in found["combinations"]:
        at = combination["settings"]
        part = own[(own["learning_rate"] == at["learning_rate"]) & (own["l2"] == at["l2"])]
        assert combination["status"] == part["status"].value_counts().to_dict()
        assert set(combination["run_ids"]) == set(part["run_id"])
        finished = part[part["status"].isin(FINISHED)]
        assert len(combination["metrics"]) >= 6
        for name, numbers in combination["metrics"].items():
            expected = interval(finished[name].to_numpy(dtype=float))
            assert tuple(numbers.values()) == pytest.approx(expected, nan_ok=True, rel=1e-9), (at, name)
    ranks = [combination["metrics"][metric]["mean"] for combination in found["combinations"]]
    stable = [
        mean for mean, c in zip(ranks, found["combinations"], strict=True) if np.isfinite(mean) and not _lost_half(c)
    ]
    assert stable == sorted(stable, reverse=metric == "valid_accuracy")


def _lost_half(combination):
    lost = sum(combination["status"].get(status, 0) for status in ("diverged", "failed", "pruned"))
    return 2 * lost >= sum(combination["status"].values())


def test_every_number_of_the_page_is_recomputed(directory, own):
    """To the last digit shown."""
    board = leaderboard(lanes.load(directory), "valid_loss")
    head = sections.columns(board)
    seen = 0
    for row in range(len(board.table)):
        cells = dict(zip(head, sections.row_of(board, row), strict=True))
        part = own[(own["learning_rate"] == float(cells["learning_rate"])) & (own["l2"] == float(cells["l2"]))]
        finished = part[part["status"].isin(FINISHED)]
        for name in ("valid_loss", "test_loss", "train_loss"):
            mean, half, count = interval(finished[name].to_numpy(dtype=float))
            seen += _is_rounded(cells[name], mean, half)
        gap = finished["test_loss"].mean() - finished["train_loss"].mean()
        seen += _is_rounded(cells["gap"], gap, np.nan)
        assert cells["n"] == str(count)
        assert cells["diverged"] == str((part["status"] == "diverged").sum() or "")
        pruned = part[part["status"] == "pruned"]
        assert cells["pruned"] == str(len(pruned) or "")
        if len(pruned):
            last = pruned[pruned["epochs"] == pruned["epochs"].max()]
            text, epoch, number = re.fullmatch(r"(\S+) at epoch (\d+) \(n = (\d+)\)", cells["pruned runs"]).groups()
            assert (int(epoch), int(number)) == (last["epochs"].iloc[0], len(last))
            seen += _is_rounded(text, last["valid_loss"].mean(), np.nan)
    assert seen >= 20


def _is_rounded(text, *numbers):
    """Whether the numbers of a text are these, rounded; how many there are."""
    shown = re.findall(r"[\d.]+(?:e[+-]\d+)?", text.replace("equal", ""))
    if "equal" in text:
        shown = shown[:1]
    expected = [number for number in numbers if np.isfinite(number) and number != 0]
    assert text == "–" or len(shown) == len(expected), (text, numbers)
    assert (text == "–") == (not np.isfinite(numbers[0]))
    for one, number in zip(shown, expected, strict=True):
        unit = 10.0 ** -len(one.partition(".")[2])
        assert abs(float(one) - abs(number)) <= 0.5001 * unit, (text, numbers)
    return len(shown)


def test_differences_from_a_baseline_are_paired_by_seed(directory, own):
    (found,) = results_document(lanes.load(directory), "valid_loss", ("learning_rate=0.1", "l2=0"))["leaderboards"]
    baseline = found["baseline"]
    assert baseline["settings"] == {"learning_rate": 0.1, "l2": 0.0}
    finished = own[own["status"].isin(FINISHED)].pivot_table(index=AXES, columns="seed", values="valid_loss")
    settings = {combination["rank"]: tuple(combination["settings"].values()) for combination in found["combinations"]}
    for one in baseline["differences"]["valid_loss"]:
        pairs = (finished.loc[settings[one["rank"]]] - finished.loc[(0.1, 0.0)]).dropna()
        assert one["n"] == len(pairs)
        assert one["mean"] == pytest.approx(pairs.mean())
    assert baseline["differences"]["valid_loss"]


def test_ended_runs_are_listed_with_their_place(directory, own):
    (found,) = results_document(lanes.load(directory), "valid_loss")["leaderboards"]
    ended = pd.DataFrame(found["ended_early"]).set_index("run_id")
    rest = own.set_index("run_id")
    assert set(ended.index) == set(rest.index[rest["status"] != "done"])
    assert (ended["status"] == rest.loc[ended.index, "status"]).all()
    diverged = ended[ended["status"] == "diverged"]
    assert (diverged["step"] == rest.loc[diverged.index, "diverged_step"]).all()
    assert (diverged["epoch"] == rest.loc[diverged.index, "epochs"] + 1).all()
    steps = 5  # of an epoch
    assert (np.ceil(diverged["step"] / steps) == diverged["epoch"]).all()
    assert (ended.loc[ended["status"] == "failed", "reason"] == "no more memory").all()
