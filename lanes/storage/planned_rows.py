"""The rows of planned runs in `runs.parquet`: fields, place, and what identifies and restores a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lanes.describe import runs
from lanes.describe.combinations import Combinations
from lanes.describe.runs import Run
from lanes.plan.packs import Pack
from lanes.plan.planned import Planned
from lanes.storage import data_records, provenance
from lanes.storage import pandas_when_used as pd
from lanes.storage.experiment_copies import Copy
from lanes.storage.schema import MEASURED, PROGRAM, runs_table, value_types
from lanes.storage.sources import Sources
from lanes.storage.typed import common, to_pandas

SOURCE = ("experiment", "experiment_sha256", "experiment_modules")  # where a run's own functions are


def planned_rows(packs: Sequence[Pack], source: Copy | None) -> pd.DataFrame:
    """A row per run of the packs, whose experiment has the copy `source`."""
    copy = (None, None, None) if source is None else (source.name, source.sha256, source.beside)
    described = _Described()
    rows: list[dict[str, Any]] = []
    for pack in packs:
        shape = f"{pack.width},{pack.size},{pack.seeds},{provenance.short(pack.signature)}"
        further = {"pack_shape": shape, PROGRAM: pack.members[0].sharing.text, **dict(zip(SOURCE, copy, strict=True))}
        for lane, member in zip(pack.places, pack.members):
            place = {"pack": pack.pack_id, "lane": int(lane), **further, **data_records.columns(member.data)}
            rows.append({"run_id": member.run_id, **described.columns(member), **place, **described.about(member)})
    return to_pandas(runs_table(rows, described.types))


class _Described:
    """Columns and identities of runs; a value shared by several runs is described once.

    Attributes:
        types: of the columns that are not fields of `Run`; None where no value has told yet.
    """

    def __init__(self) -> None:
        self.types: dict[str, pa.DataType | None] = {}
        self._combinations: Combinations | None = None
        # Both keep the values alive, so that their ids stay unique.
        self._known: dict[tuple[str, int], tuple[Any, dict[str, Any]]] = {}
        self._measured: dict[tuple[Any, ...], tuple[Run, str]] = {}

    def columns(self, member: Planned) -> dict[str, Any]:
        """The columns of a run's fields."""
        columns: dict[str, Any] = {}
        for name in runs.FIELDS:
            value = getattr(member.run, name)
            if (name, id(value)) not in self._known:
                found = runs.columns_of(name, value)
                self._known[name, id(value)] = value, found
                for column, kind in value_types(name, value, found).items():
                    self.types[column] = common(self.types.get(column), kind)
            columns |= self._known[name, id(value)][1]
        return columns

    def about(self, member: Planned) -> dict[str, str]:
        """What a run measures, its combination and its description."""
        if self._combinations is None:
            self._combinations = Combinations(Sources().combination, member.descriptions)
        return {
            MEASURED: self._metric_columns(member),
            "combination_id": self._combinations.of(member.run),
            "description": member.descriptions.of(member.run),
        }

    def _metric_columns(self, member: Planned) -> str:
        key = id(member.run.task), id(member.run.metrics), member.splits
        if key not in self._measured:
            names = [f"{split}_{name}" for split in member.splits for name in runs.metric_names(member.run)]
            self._measured[key] = member.run, " ".join(names)
        return self._measured[key][1]
