"""The identity of a run's combination: what describes the run apart from its seed and what the seed brings with it."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

from lanes.describe.descriptions import is_description
from lanes.describe.identity import Descriptions, described_names
from lanes.describe.runs import FIELDS, Run

REPLICATE = "replicate"  # metadata of a description's field: "run" names a trained run, "seed" is a seed


class Combinations:
    """Identities of combinations: equal for runs that differ only in their seed and in fields that may follow it.

    Such fields are declared by their metadata: `{"replicate": "run"}` for a reference to a trained run, which counts as the
    combination of that run, and `{"replicate": "seed"}` for the seed of a data set.

    Args:
        source: the combination of the run that a reference names.
        descriptions: of the runs.
    """

    def __init__(self, source: Callable[[str], str], descriptions: Descriptions):
        self._source = source
        self._descriptions = descriptions
        self._texts: dict[int, tuple[Any, str]] = {}  # with the value, so that its id is not reused

    def of(self, resolved: Run) -> str:
        """16 hexadecimal digits."""
        texts = [
            f'"{name}": {self._text(name, getattr(resolved, name))}'
            for name in described_names(resolved)
            if name != "seed"
        ]
        return hashlib.sha256(", ".join(texts).encode()).hexdigest()[:16]

    def _text(self, name: str, value: Any) -> str:
        kind = FIELDS[name].metadata.get(REPLICATE)
        if kind is not None or not (is_description(value) or isinstance(value, tuple)):
            return self._descriptions.text(self._replaced(kind, value))
        known = self._texts.get(id(value))
        if known is None:
            encoded = json.loads(self._descriptions.text(value))
            known = self._texts[id(value)] = value, json.dumps(self._within(value, encoded), sort_keys=True)
        return known[1]

    def _within(self, value: Any, encoded: Any) -> Any:
        """What describes a value, with what may follow the seed replaced."""
        if isinstance(value, (tuple, list)) and isinstance(encoded, list):
            return [self._within(item, inner) for item, inner in zip(value, encoded, strict=True)]
        if not is_description(value) or not isinstance(encoded, dict) or "fields" not in encoded:
            return encoded
        fields = dict(encoded["fields"])
        for field in dataclasses.fields(value):
            if field.name in fields:
                inside = getattr(value, field.name)
                kind = field.metadata.get(REPLICATE)
                fields[field.name] = (
                    self._within(inside, fields[field.name]) if kind is None else self._replaced(kind, inside)
                )
        return {**encoded, "fields": fields}

    def _replaced(self, kind: str | None, value: Any) -> Any:
        if kind == "seed":
            return 0
        return self._source(value) if kind == "run" and isinstance(value, str) else value
