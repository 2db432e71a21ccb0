"""Runs of an earlier version of their experiment file stay apart: they are in `lanes.load`'s table and in no other."""

import pandas as pd

from lanes.storage.asked import EARLIER

LEFT_OUT = "left_out"  # in the attrs of a table: the line that says what was left out of it


def of_present_versions(runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """`lanes.load`'s table without the runs of earlier versions, and a line that says how many; "" if there are none.

    A table of earlier versions alone is returned as it is.
    """
    if EARLIER not in runs:
        return runs, ""
    earlier = runs[EARLIER].notna()
    if not earlier.any() or earlier.all():
        return runs, ""
    left = runs.loc[earlier, EARLIER].value_counts(sort=False)
    parts = [f"{count:,} run{'s' if count > 1 else ''} of an earlier version of {name}" for name, count in left.items()]
    are = "is" if int(left.sum()) == 1 else "are"
    name = left.index[0]
    line = (
        f"{' and '.join(parts)} {are} left out; to see them: lanes evaluate DIR --where {EARLIER}={name}, or lanes.load"
    )
    return runs[~earlier], line
