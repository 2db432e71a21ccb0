"""Which arrays the runs of a directory were trained on, compared before anything is trained, evaluated or restored.

Each run has its own record, two columns of `runs.parquet`; `sweep.json` lists all data, for the reader and as a copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lanes.data.fingerprints import parts_of
from lanes.errors import RequestError
from lanes.plan.datasets import DataRecord
from lanes.storage import pandas_when_used as pd
from lanes.storage.directory import Directory

ID, FINGERPRINT = "data_id", "data_fingerprint"
COLUMNS = (ID, FINGERPRINT)


def columns(record: DataRecord) -> dict[str, Any]:
    """A run's data in `runs.parquet`."""
    return {ID: record.id, FINGERPRINT: record.fingerprint}


def in_sweep(content: Mapping[str, Any], records: Iterable[DataRecord]) -> dict[str, dict[str, str]]:
    """The data in `sweep.json`, by id: those that its present content names, and `records`."""
    return _known(content) | {one.id: {"name": one.name, "fingerprint": one.fingerprint} for one in records}


def check(directory: Directory, records: Iterable[DataRecord]) -> list[DataRecord]:
    """The data that no run of the directory was trained on yet.

    Raises RequestError for data that differ from what a run of the same description was trained on.
    """
    if not directory.path.is_dir():
        return list(dict.fromkeys(records))
    known = directory.read_runs(("run_id", *COLUMNS))
    count = int(lacking(known).sum())
    if count:
        directory.warn(
            f"{directory.path}: runs.parquet does not say which arrays {count} of its {len(known)} runs were trained on: they "
            "are taken to be those of today"
        )
    return compare(directory, known, records)


def compare(directory: Directory, known: pd.DataFrame, records: Iterable[DataRecord]) -> list[DataRecord]:
    """As `check`, with the directory's planned runs at hand."""
    pairs = {(identity, entry["fingerprint"]) for identity, entry in _known(directory.read_sweep()).items()}
    complete = known[~lacking(known)]
    if len(complete):
        pairs |= {(identity, text) for identity, text in complete[list(COLUMNS)].drop_duplicates().to_numpy()}
    distinct = dict.fromkeys(records)
    for record in distinct:
        for identity, fingerprint in sorted(pairs):
            differs = record.differs_from(identity, fingerprint)
            if differs:
                raise RequestError(
                    f"{record.name} gives other arrays than {directory.path} was trained on (fingerprint of {differs}): bring "
                    "back those data, or give the new ones another name or argument, or use another directory; if nothing has "
                    "changed, what gives them varies: seed its generator, sort its sets and lists of files"
                )
    identities = {identity for identity, _ in pairs}
    return [record for record in distinct if record.id not in identities]


def told_apart(tables: Sequence[pd.DataFrame]) -> list[list[str]]:
    """For each run of several directories its fingerprint where the same description has other arrays in another directory.

    Args:
        tables: the planned runs of each directory.

    Returns:
        The fingerprint or "" for each row of each table.
    """
    if len(tables) < 2:
        return [[""] * len(table) for table in tables]  # one directory has one fingerprint of each description
    rows = [
        [("", "")] * len(table)
        if lacking(table).all()
        else [(str(name), text) if parts_of(text) else ("", "") for name, text in table[list(COLUMNS)].to_numpy()]
        for table in tables
    ]
    found: dict[str, dict[DataRecord, None]] = {}
    for name, text in dict.fromkeys(pair for pairs in rows for pair in pairs if pair[0]):
        record = DataRecord(name, text)
        found.setdefault(record.description, {})[record] = None
    unlike = {
        description
        for description, records in found.items()
        if any(one.differs_from(other.id, other.fingerprint) for one, other in itertools.combinations(records, 2))
    }
    return [[text if DataRecord(name, text).description in unlike else "" for name, text in pairs] for pairs in rows]


def _known(content: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The intact entries of `sweep.json`'s data."""
    data = content.get("data")
    entries = data.items() if isinstance(data, dict) else ()
    return {
        identity: entry for identity, entry in entries if isinstance(entry, dict) and parts_of(entry.get("fingerprint"))
    }


def lacking(known: pd.DataFrame) -> pd.Series:
    """Which of the planned runs have no record of their data: those of a directory that was written without."""
    if known.empty or not {*COLUMNS} <= {*known.columns}:
        return pd.Series(True, known.index)
    valid = {text: bool(parts_of(text)) for text in known[FINGERPRINT].unique()}
    return ~(known[FINGERPRINT].map(valid).astype(bool) & known[ID].notna())


def can_complete(known: pd.DataFrame, records: Mapping[str, DataRecord]) -> bool:
    """Whether `completed` would change the table."""
    return bool(len(known) and (lacking(known) & known["run_id"].isin(records)).any())


def completed(table: pd.DataFrame, records: Mapping[str, DataRecord]) -> pd.DataFrame:
    """The table of planned runs with the records of runs that lack them.

    Args:
        table: of the planned runs.
        records: by run_id, of the runs whose data are at hand.
    """
    if table.empty:
        return table
    rows = table.index[lacking(table) & table["run_id"].isin(records)]
    for number, name in enumerate(COLUMNS):
        column = table[name].astype(object) if name in table else pd.Series(None, table.index, dtype=object)
        column.loc[rows] = [records[run_id][number] for run_id in table.loc[rows, "run_id"]]
        table = table.assign(**{name: column})
    return table
