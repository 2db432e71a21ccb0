"""How runs ended that did not train to their last epoch: where, why, and what to do about it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lanes.results.leaderboard import FINISHED, Leaderboard

ENDED_EARLY = ("diverged", "failed", "pruned", "stopped_early")
RATE = "learning_rate"


def endings(board: Leaderboard, status: str) -> pd.DataFrame:
    """A row per run with a status: `run_id`, `combination`, `seed`, `epoch`, `step`, `reason`, `remedy`, in rank order.

    `epoch` is the last one trained; of a diverged run it is the epoch in which it diverged, to whose beginning its parameters
    were rolled back, and `step` its first step that is not finite.

    Args:
        board: the leaderboard.
        status: one of `ENDED_EARLY`.
    """
    runs = board.runs[board.runs["status"] == status].sort_values("combination", kind="stable")
    epochs = _numbers(runs, "epochs_done") + (status == "diverged")
    table = pd.DataFrame(
        {
            "run_id": runs["run_id"].astype(str),
            "combination": runs["combination"].astype(int),
            "seed": runs.get("seed", pd.NA),
            "epoch": epochs.astype("Int64"),
            "step": _numbers(runs, "diverged_step").astype("Int64"),
        },
        index=runs.index,
    )
    if status == "diverged":
        found = _diverged(board, runs)
    elif status == "pruned":
        found = _pruned(board, runs)
    else:
        found = _failed(runs) if status == "failed" else _stopped(runs)
    return table.assign(reason=[reason for reason, _ in found], remedy=[remedy for _, remedy in found])


def _numbers(runs: pd.DataFrame, name: str) -> pd.Series:
    column = runs[name] if name in runs else pd.Series(np.nan, index=runs.index)
    return pd.to_numeric(column, errors="coerce").astype(float)


def _diverged(board: Leaderboard, runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Divergence: the largest rate below with which a run that is equal in all else finished is the first thing to try."""
    rates = _numbers(board.runs, RATE)
    others = [axis.name for axis in board.axes if axis.name != RATE]
    keys = [board.labels[name] for name in others] or [pd.Series(0, index=board.runs.index)]
    finished = board.runs["status"].isin(FINISHED)
    by_key = {
        key if isinstance(key, tuple) else (key,): np.sort(part.to_numpy())
        for key, part in rates[finished].groupby([key[finished] for key in keys])
    }
    out = []
    for index, rate in rates.loc[runs.index].items():
        lower = by_key.get(tuple(key.at[index] for key in keys), np.array([]))
        lower = lower[lower < rate]
        if len(lower):
            remedy = f"{RATE} {lower[-1]:g} finished with all else equal"
        elif math.isfinite(rate):
            remedy = f"a {RATE} below {rate:g}, or clip=1.0"
        else:
            remedy = "clip=1.0"
        out.append(("a loss or an update that is not finite", remedy))
    return out


def _failed(runs: pd.DataFrame) -> list[tuple[str, str]]:
    errors = runs["error"] if "error" in runs else pd.Series(None, index=runs.index, dtype=object)
    reasons = ["no reason is recorded" if pd.isna(error) else str(error) for error in errors]
    return [(reason, "remove the cause and repeat the sweep's command, which trains it again") for reason in reasons]


def _pruned(board: Leaderboard, runs: pd.DataFrame) -> list[tuple[str, str]]:
    out = []
    for run_id, value in zip(runs["run_id"], _numbers(runs, board.metric), strict=True):
        at = f" with {board.metric} {value:.4g}" if math.isfinite(value) else ""
        remedy = f"lanes sweep --from DIR --only run_id={str(run_id)[:8]} --halving off --out NEW trains it to the end"
        out.append((f"ranked too low at the rung{at}", remedy))
    return out


def _stopped(runs: pd.DataFrame) -> list[tuple[str, str]]:
    out = []
    for best, patience, who in zip(
        _numbers(runs, "best_epoch"), _numbers(runs, "patience"), _texts(runs, "stopped_by"), strict=True
    ):
        if who:
            out.append((f"asked to by {who}", "lanes.continue_run goes on with it"))
            continue
        waited = (
            f"no better epoch in {patience:g} after epoch {best:g}"
            if math.isfinite(patience)
            else f"best epoch {best:g}"
        )
        out.append((waited, "none needed; a larger patience trains on"))
    return out


def _texts(runs: pd.DataFrame, name: str) -> Sequence[Any]:
    if name not in runs:
        return [""] * len(runs)
    return ["" if pd.isna(cell) else str(cell) for cell in runs[name]]
