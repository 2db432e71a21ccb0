"""A table of the user's own, CSV or Parquet: a row for each example, a column for each number."""

import dataclasses
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lanes.data.dataset import Dataset, Split, cut
from lanes.data.given import Labels
from lanes.data.label_noise import label_noise_field
from lanes.data.own_arrays import SPLIT_SEED, TEST_FRACTION, VALID_FRACTION, from_splits
from lanes.data.own_files import content_of, found
from lanes.data.split_columns import split_rows
from lanes.data.standardizing import STANDARDIZATIONS
from lanes.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd

FILLS = ("mean", "median")


@dataclasses.dataclass(frozen=True)
class Table:
    """A CSV or Parquet file with a row for each example: `Table("patients.csv", target="died", split="fold")`.

    All columns but the target, the split and those in `drop` are inputs. A target of text is a class for each of its values,
    in sorted order; what numbers are follows from the run's loss, as for arrays from a function. What is computed from the
    data (fills, categories, standardization) is computed from the training split only.

    Args:
        path: of the file, from the current folder or from --data-dir; .csv, .tsv or .parquet.
        target: the column to predict.
        split: the column that says each row's split: train, valid (or validation, val, dev) or test. None: the rows are
            split at random, stratified by class.
        drop: columns to leave out.
        categorical: columns to turn into a column of 0 and 1 for each of their values in the training split; a value that is
            not among them, or is missing, is 0 in all.
        missing: "mean" or "median": missing inputs become that of their column's training rows, and each column with missing
            values is joined by one that is 1 where it was. None refuses missing values.
        valid_fraction: fraction of the rows outside the test split for validation; 0 for none. None: 1/9, which makes
            80 / 10 / 10, or what the column `split` says.
        test_fraction: fraction of the rows for testing where `split` is None; 0 for none.
        split_seed: seed of these splits.
        standardize: see `lanes.data.standardizing.standardization`.
        label_noise: probability that a training label is drawn anew (`Dataset.with_label_noise`), by `split_seed`.
    """

    path: str
    target: str
    split: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    missing: str | None = None
    valid_fraction: float | None = None
    test_fraction: float = TEST_FRACTION
    split_seed: int = dataclasses.field(default=SPLIT_SEED, metadata={"replicate": "seed"})
    standardize: str = "feature"
    label_noise: float = label_noise_field()

    def __post_init__(self) -> None:
        if isinstance(self.path, os.PathLike):
            object.__setattr__(self, "path", os.fspath(self.path))
        for name in ("drop", "categorical"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    def check(self) -> None:
        """Raises ValueError if a field is out of range."""
        if self.missing not in (None, *FILLS):
            raise ValueError(f"missing={self.missing!r}: must be None, mean or median")
        if self.standardize not in STANDARDIZATIONS:
            raise ValueError(f"standardize={self.standardize!r}: must be one of {', '.join(STANDARDIZATIONS)}")
        for name in ("drop", "categorical"):
            if not isinstance(getattr(self, name), tuple):
                raise ValueError(f"{name}={getattr(self, name)!r}: must be names of columns, as in {name}=('id',)")

    def load(self, data_dir: str | None = None) -> Dataset:
        """The data set.

        Raises:
            RequestError: the file is missing or no table, or a column is missing.
            ValueError: a field is out of range, a column is not of numbers or has missing values.
        """
        self.check()
        frame = _read(found(self.path, data_dir, "file"))
        stated = [self.target, *([] if self.split is None else [self.split]), *self.drop, *self.categorical]
        for name in stated:
            if name not in frame:
                raise RequestError(f"{self.path} has no column {name!r}: it has {', '.join(map(str, frame.columns))}")
            if stated.count(name) > 1:
                raise RequestError(f"column {name!r} of {self.path} has two uses here: name it once")
        y, classes = self._targets(frame[self.target])
        rows = self._rows(frame, y)
        inputs = frame.drop(columns=[name for name in stated if name not in self.categorical])
        x = self._inputs(inputs, rows["train"])
        targets = {part: Labels(y[at], classes) if classes else y[at] for part, at in rows.items()}
        data = from_splits(
            os.path.basename(self.path),
            {part: (x[at], targets[part]) for part, at in rows.items()},
            standardize=self.standardize,
            seeded=self.split is None or bool(self.valid_fraction),
        )
        return data.with_label_noise(self.label_noise, self.split_seed)

    def _targets(self, column: "pd.Series") -> tuple[np.ndarray, tuple[str, ...]]:
        """The target of each row, and the names of the classes if it is text."""
        if column.isna().any():
            raise ValueError(
                f"{self.path}: target {self.target!r} is missing in {int(column.isna().sum())} rows, row {_first(column)} the "
                "first: drop these rows"
            )
        if column.dtype.kind in "biuf" and isinstance(column.dtype, np.dtype):
            return column.to_numpy(), ()
        try:
            if column.dtype.kind in "biuf":
                return column.to_numpy(dtype=float if column.dtype.kind == "f" else int), ()
        except (TypeError, ValueError):
            pass
        names, numbers = np.unique(column.astype(str), return_inverse=True)
        return numbers.astype(np.int64), tuple(map(str, names))

    def _rows(self, frame: "pd.DataFrame", y: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of each split, those of train first."""
        every = Split(np.arange(len(frame)), y)
        if self.split is None:
            rest, test = cut(every, self.test_fraction, self.split_seed, "test_fraction")
            rows = {"train": rest.x, **({} if test is None else {"test": test.x})}
        else:
            rows = split_rows(frame[self.split], f"{self.path}: column {self.split!r}")
        fraction = VALID_FRACTION if self.valid_fraction is None and self.split is None else self.valid_fraction
        if fraction is not None:
            rest = every.take(np.sort(np.concatenate([rows["train"], rows.pop("valid", rows["train"][:0])])))
            train, valid = cut(rest, fraction, self.split_seed)
            rows["train"] = train.x
            if valid is not None:
                rows["valid"] = valid.x
        return rows

    def _inputs(self, frame: "pd.DataFrame", train: np.ndarray) -> np.ndarray:
        """float64 [N, F], with nothing missing."""
        columns: list[np.ndarray] = []
        marks: list[np.ndarray] = []
        for name in frame.columns:
            column = frame[name]
            if name in self.categorical:
                known = np.unique(column.iloc[train].dropna().astype(str))
                columns += [
                    (column.astype(str) == value).to_numpy(float) * column.notna().to_numpy(float) for value in known
                ]
                continue
            if column.dtype.kind not in "biuf" or column.dtype.kind == "O":
                raise ValueError(
                    f"{self.path}: column {name!r} is {column.dtype}, such as {column.dropna().iloc[:1].tolist()}: number it, "
                    f"name it in categorical=, or leave it out, drop=({name!r},)"
                )
            numbers = column.to_numpy(dtype=float, na_value=np.nan)
            lacking = np.isnan(numbers)
            if lacking.any():
                numbers = self._filled(str(name), numbers, lacking, train)
                marks.append(lacking.astype(float))
            columns.append(numbers)
        if not columns:
            raise RequestError(f"{self.path} has no column left for inputs")
        return np.stack([*columns, *marks], axis=1)

    def _filled(self, name: str, numbers: np.ndarray, lacking: np.ndarray, train: np.ndarray) -> np.ndarray:
        where = f"{self.path}: column {name!r} is missing in {int(lacking.sum())} rows, row {int(np.argmax(lacking))} the first"
        if self.missing is None:
            raise ValueError(f"{where}: choose missing='median' or 'mean', or leave the column or the rows out")
        present = numbers[train][~lacking[train]]
        if not len(present):
            raise ValueError(f"{where}, and in all rows of the training split: leave it out, drop=({name!r},)")
        return np.where(lacking, np.median(present) if self.missing == "median" else np.mean(present), numbers)


def _first(column: "pd.Series") -> int:
    return int(np.argmax(column.isna().to_numpy()))


def _read(path: Path) -> "pd.DataFrame":
    """The table of a file, without running anything that it holds."""
    import pandas as pd

    content, kind = io.BytesIO(content_of(path)), path.suffix.lower()
    if kind not in (".csv", ".tsv", ".parquet"):
        raise RequestError(
            f"{path} is of no kind that Table reads: .csv, .tsv or .parquet; read it in a function of your own"
        )
    try:
        separator = "\t" if kind == ".tsv" else ","
        frame = pd.read_parquet(content) if kind == ".parquet" else pd.read_csv(content, sep=separator)
    except Exception as error:  # parsers raise anything on bytes that they cannot read
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RequestError(f"{path} cannot be read as a table ({line})") from None
    if frame.empty:
        raise RequestError(f"{path} has no rows: give a table with a row for each example")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise RequestError(f"{path} has two columns {twice[0]!r}: rename one")
    return frame.reset_index(drop=True)
