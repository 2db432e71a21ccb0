"""What an experiment file asks for, with the settings of the present command and of earlier ones."""

import json
from collections.abc import Sequence
from pathlib import Path

from lanes.describe import settings
from lanes.describe.identity import NAMES, Descriptions
from lanes.describe.runs import Run
from lanes.engine.requests import Plan, identities
from lanes.errors import RequestError
from lanes.storage.asked import Asking, symbols


def asking_of(file: Path, sweep: Sequence[Run], set_: Sequence[str], seeds: int | None, plan: Plan) -> Asking:
    """What asks for the runs of a plan.

    Args:
        file: the experiment file.
        sweep: the runs that its `sweep()` returns.
        set_: the values of `--set`.
        seeds: the value of `--seeds`.
        plan: of the runs that are left after `--set`, `--seeds` and `--only`.
    """

    def run_ids(of_settings: tuple[str, ...], of_seeds: int | None) -> set[str]:
        try:
            return identities(plan, with_changes(sweep, of_settings, of_seeds))
        except RequestError:
            return set()  # what an earlier command set is no longer there

    def code() -> dict[str, str]:
        descriptions = Descriptions()
        texts = {descriptions.text(getattr(member.run, name)) for member in plan.planned for name in NAMES}
        return symbols([json.loads(text) for text in texts if "symbol" in text])

    return Asking(file, tuple(set_), seeds, run_ids, code)


def with_changes(sweep: Sequence[Run], set_: Sequence[str], seeds: int | None) -> list[Run]:
    """The runs of an experiment file as `--set` and `--seeds` change them.

    Raises RequestError as `settings` does.
    """
    changed = settings.with_settings(sweep, set_)
    return changed if seeds is None else settings.with_seeds(changed, seeds)
