"""The rows of an ended pack, curves and results, and curves read back as a history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lanes.program.lane import Status
from lanes.storage import pandas_when_used as pd


def curve_rows(run_ids: Sequence[str], history: Mapping[str, np.ndarray], epochs: np.ndarray) -> pd.DataFrame:
    """The curves of a pack as rows, one per run and epoch.

    Args:
        run_ids: of the lanes.
        history: [P, E] by metric.
        epochs: number of epochs to keep of each lane [P].
    """
    longest = next(iter(history.values())).shape[1]
    kept = np.arange(longest) < np.asarray(epochs)[:, None]
    lanes, columns = np.nonzero(kept)
    values = {name: np.asarray(series)[kept] for name, series in history.items()}
    return pd.DataFrame({"run_id": np.array(run_ids)[lanes], "epoch": (columns + 1).astype(np.int32), **values})


def history_of(curves: pd.DataFrame, run_ids: Sequence[str], epochs: int) -> dict[str, np.ndarray]:
    """The inverse of `curve_rows`: history [P, epochs] by metric, NaN for epochs without a row."""
    lanes = {run_id: lane for lane, run_id in enumerate(run_ids)}
    metrics = [name for name in curves.columns if name not in ("run_id", "epoch")]
    out = {name: np.full((len(run_ids), epochs), np.nan, np.float32) for name in metrics}
    inside = curves[(curves["epoch"] <= epochs) & curves["run_id"].isin(lanes)]
    rows, columns = inside["run_id"].map(lanes).to_numpy(int), inside["epoch"].to_numpy(int) - 1
    for name in metrics:
        out[name][rows, columns] = inside[name].to_numpy(np.float32)
    return out


def result_rows(
    run_ids: Sequence[str],
    lanes: Mapping[str, np.ndarray],
    history: Mapping[str, np.ndarray],
    metrics: Mapping[str, Mapping[str, np.ndarray]],
    facts: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """A row per ended run of a pack.

    Args:
        run_ids: of the lanes.
        lanes: `status`, `epochs`, `best_epoch` and `diverged_step` [P].
        history: curves [P, E].
        metrics: of the best epoch's parameters, by split and name [P]; validation metrics are in the history.
        facts: columns that are the same for the whole pack: seconds, width, mapping, device.
    """
    rows = []
    for lane, run_id in enumerate(run_ids):
        status, best = Status(lanes["status"][lane]).label, int(lanes["best_epoch"][lane])
        diverged = status == "diverged"
        row: dict[str, Any] = {"run_id": run_id, "status": status, "epochs": int(lanes["epochs"][lane])}
        row["best_epoch"] = best if best and not diverged else None
        for name in ("penalty", *(name for name in history if name.startswith("valid_"))):
            row[name] = _finite(history[name][lane, best - 1]) if best and not diverged else None
        for split, values in metrics.items():
            for name, value in values.items():
                row[f"{split}_{name}"] = None if diverged else _finite(value[lane])
        row["diverged_step"] = int(lanes["diverged_step"][lane]) if diverged else None
        rows.append({**row, **facts})
    return rows


def failed_rows(run_ids: Sequence[str], error: str, call: str) -> list[dict[str, Any]]:
    """A row for each run of a pack that failed in a call."""
    return [{"run_id": run_id, "status": "failed", "error": error, "calls": call} for run_id in run_ids]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
