"""The trained runs that other runs refer to (`init_from`, `Encoded.source`), apart from their seeds."""

from lanes.errors import RequestError
from lanes.storage import pandas_when_used as pd
from lanes.storage.directory import existing
from lanes.storage.references import parse


class Sources:
    """Looks up the combinations of trained runs, each directory read once."""

    def __init__(self) -> None:
        self._tables: dict[str, pd.DataFrame] = {}

    def combination(self, reference: str) -> str:
        """`COMBINATION:subtree` of the run that `DIR:run_id:subtree` names; the reference itself if it cannot be found."""
        try:
            source = parse(reference)
            if source.directory not in self._tables:
                (directory,) = existing([source.directory], changes=False)
                self._tables[source.directory] = directory.read_runs(("run_id", "combination_id"))
        except RequestError:
            return reference
        table = self._tables[source.directory]
        if "combination_id" not in table:
            return reference
        found = table.loc[table["run_id"].str.startswith(source.run), "combination_id"].dropna()
        return ":".join([found.iloc[0], *source.subtree]) if len(found) == 1 else reference
