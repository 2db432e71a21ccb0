"""What runs are called in pictures."""

import pandas as pd

from lanes.errors import printable
from lanes.results.axes import swept_axes


def labels(table: pd.DataFrame) -> dict[str, str]:
    """A label for each run of a table, by run_id: what it differs in from the others, else its id."""
    runs = table.drop_duplicates("run_id").reset_index(drop=True)
    axes, found = swept_axes(runs)
    out = {}
    for at, run_id in enumerate(runs["run_id"]):
        parts = [f"{axis.name}={found[axis.name].iloc[at]}" for axis in axes]
        parts += [f"seed={runs['seed'].iloc[at]}"] if "seed" in runs and runs["seed"].nunique() > 1 else []
        out[run_id] = text(" ".join(parts) or run_id[:8])
    return out


def text(value: object) -> str:
    """A value for matplotlib, which reads dollars as mathematics."""
    return printable(str(value)).replace("$", r"\$")
