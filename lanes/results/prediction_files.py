"""Files of predictions: a row for each run and example."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lanes.errors import RequestError
from lanes.files import sync_folder, temporary_beside
from lanes.results.told import Kind, Said


class PredictionFile:
    """A Parquet file with what runs say of each example, written run by run under a temporary name.

    Columns: `run_id`, `condition` (if there are several), `example` (its row in the split; of series the step counts on),
    `target`; of classes `predicted`, the class decided for, and `probabilities`, a list of one number for each class
    (`outputs` where they are no probabilities); of numbers `predictions` and, of a Gaussian likelihood, `deviations`, in the
    units of the data.

    Args:
        path: of the file.
        kind: what the runs say.
        conditions: whether there are several.
    """

    def __init__(self, path: Path, kind: Kind, conditions: bool):
        self.path, self.kind, self.conditions = path, kind, conditions
        self._temporary = temporary_beside(path)
        self._writer: pq.ParquetWriter | None = None

    def add(self, run_id: str, condition: str, one: Said) -> None:
        """Write the rows of a run under a condition."""
        count = len(one.targets)
        columns: dict[str, Any] = {"run_id": pa.array([run_id] * count, pa.string())}
        if self.conditions:
            columns["condition"] = pa.array([condition] * count, pa.string())
        columns["example"] = pa.array(np.arange(count), pa.int64())
        columns["target"] = _column(one.targets)
        if one.classes is not None:
            columns["predicted"] = _column(one.classes)
            columns["probabilities" if one.chances is not None else "outputs"] = _column(
                one.predictions if one.chances is None else one.chances
            )
        else:
            columns["predictions"] = _column(one.predictions)
            if one.deviations is not None:
                columns["deviations"] = _column(one.deviations)
        table = pa.table(columns)
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._temporary, table.schema)
            self._writer.write_table(table)
        except OSError as error:
            self.abandon()
            raise RequestError(f"--predictions {self.path} cannot be written ({error.strerror or error})") from None

    def finish(self) -> None:
        """Give the file its name."""
        if self._writer is not None:
            self._writer.close()
            os.replace(self._temporary, self.path)
            sync_folder(self.path.absolute().parent)

    def abandon(self) -> None:
        """Remove what is written."""
        if self._writer is not None:
            self._writer.close()
        self._temporary.unlink(missing_ok=True)


def _column(values: np.ndarray) -> pa.Array:
    """[N] as numbers, [N, …] as lists of an example's numbers."""
    kind = pa.int32() if values.dtype.kind in "iu" else pa.float32()
    if values.ndim == 1:
        return pa.array(values, kind)
    flat = np.ascontiguousarray(values.reshape(len(values), -1))
    offsets = np.arange(len(values) + 1, dtype=np.int32) * flat.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat.reshape(-1), kind))
