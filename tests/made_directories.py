"""Directories of sweeps as a test writes them, without training anything."""

from pathlib import Path

import pandas as pd

from lanes.storage.directory import Directory


def without_runs(path: Path) -> Directory:
    """A directory with a `sweep.json` and no runs."""
    made = Directory(path)
    made.create()
    made.write_sweep({})
    return made


def with_three_runs(path: Path) -> Directory:
    """Runs a0 and a1 of pack aa, which have not ended, and b0 of pack bb, which is done."""
    made = without_runs(path)
    rows = {"run_id": ["a0", "a1", "b0"], "pack": ["aa", "aa", "bb"], "lane": [0, 1, 0], "pack_shape": "2,2,1,abc"}
    made.write_runs(pd.DataFrame(rows))
    made.write_part(made.results, "bb", [{"run_id": "b0", "status": "done"}])
    return made
