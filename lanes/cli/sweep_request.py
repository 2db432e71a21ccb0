"""What `lanes sweep` asks for: the runs of an experiment file, or runs of a directory with more seeds or other settings."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lanes.cli.command import typed
from lanes.errors import RequestError, warn

if TYPE_CHECKING:
    from lanes.describe.halving import Halving
    from lanes.describe.runs import Run
    from lanes.engine.callbacks import Callback
    from lanes.engine.requests import Plan
    from lanes.storage.asked import Asking

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Choices:
    """The options that choose and change runs, as typed.

    Attributes:
        set, only: the values of --set and --only.
        seeds: of --seeds.
        best, metric, no_code: of the options of these names, which go with --from.
        halving: of --halving.
        data_dir: of --data-dir.
    """

    set: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    seeds: int | None = None
    best: int | None = None
    metric: str | None = None
    no_code: bool = False
    halving: str | None = None
    data_dir: str | None = None


@dataclasses.dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        out: the directory.
        experiment: the experiment file, or a directory's copy of it; None for runs that come from Python.
        runs: those that are left after --set, --seeds and --only.
        run_ids: of --only, which is told when the runs are planned.
        asking: what asks for them, given the plan.
        halving: that of the command line or, if it has none, of the experiment file.
        resume: the command that goes on after a stop.
        callbacks: those of the experiment file; a directory's copy of it is not asked for any.
    """

    out: Path
    experiment: Path | None
    runs: "list[Run]"
    run_ids: list[str]
    asking: "Callable[[Plan], Asking | None]"
    halving: "Halving | None"
    resume: str
    callbacks: "tuple[Callback, ...]" = ()


def requested(
    experiment: Path | None, source: Path | None, out: Path | None, choices: Choices, halving: "Halving | None"
) -> Request:
    """What the command asks for.

    Args:
        experiment: the experiment file.
        source: of --from.
        out: of --out.
        choices: the options that choose and change runs.
        halving: that of the command line.

    Raises RequestError unless there is one of file and directory, and as what reads them.
    """
    if source is not None:
        if experiment is not None:
            raise RequestError(
                f"got {experiment} and --from {source}: give an experiment file or a directory, not both"
            )
        return _of_directory(source, source if out is None else out, choices, halving)
    if experiment is None or out is None:
        lacking = "an experiment file" if experiment is None else "--out"
        raise RequestError(
            f"{lacking} is missing: write lanes sweep EXPERIMENT.py --out DIR, or lanes sweep --from DIR --best 1 --seeds 10"
        )
    for name, default in (("best", None), ("metric", None), ("no_code", False)):
        if getattr(choices, name) is not default:
            raise RequestError(
                f"--{name.replace('_', '-')} chooses among the runs of a directory: write --from DIR in place of the file"
            )
    return _of_file(in_checkout(experiment), out, choices, halving)


def _of_file(experiment: Path, out: Path, choices: Choices, halving: "Halving | None") -> Request:
    """What an experiment file asks for."""
    from lanes.describe import settings
    from lanes.describe.experiment_files import callbacks_of, halving_of, runs_of
    from lanes.engine.asking import asking_of, with_changes

    asked = runs_of(experiment)
    conditions, run_ids = settings.without_ids(choices.only)
    if choices.halving is None:
        halving = halving_of(experiment)
    _check_off(choices, out)
    return Request(
        out,
        experiment,
        settings.only(with_changes(asked, choices.set, choices.seeds), conditions),
        run_ids,
        lambda plan: asking_of(experiment, asked, choices.set, choices.seeds, plan),
        halving,
        typed(),
        callbacks_of(experiment),
    )


def _of_directory(source: Path, out: Path, choices: Choices, halving: "Halving | None") -> Request:
    """What `--from DIR` asks for: runs of a directory, as they are or with more seeds and other settings."""
    from lanes.describe import settings
    from lanes.results.chosen import chosen_runs
    from lanes.storage.asked import Asking

    chosen = chosen_runs(source, choices.best, choices.metric, choices.only, not choices.no_code)
    runs = chosen.runs if choices.seeds is None else chosen.with_seeds(choices.seeds)
    is_own = out.resolve() == source.resolve()
    _check_off(choices, out)

    def asking(plan: "Plan") -> "Asking | None":
        del plan
        if chosen.experiment is None or not is_own:
            return None
        # As the file asks that the directory's copy is of, with these settings and seeds.
        return Asking(chosen.experiment, choices.set, choices.seeds, lambda *_: (), dict)

    resume = typed()
    if is_own:  # the ranking changes as the new runs end
        words = ["lanes", "sweep", "--from", str(source)]
        resume = shlex.join(words if choices.data_dir is None else [*words, "--data-dir", choices.data_dir])
    return Request(out, chosen.experiment, settings.with_settings(runs, choices.set), [], asking, halving, resume)


def _check_off(choices: Choices, out: Path) -> None:
    """Raise RequestError for `--halving off` where a directory was begun with one, which is binding."""
    from lanes.describe.halving import OFF
    from lanes.storage.directory import Directory

    if choices.halving != OFF or not out.is_dir():
        return
    if Directory(out, changes=False).read_sweep().get("halving") is not None:
        raise RequestError(f"{out} was begun with halving, and --halving is off: leave it out, or choose another --out")


def in_checkout(experiments: Path) -> Path:
    """An experiment file or folder: `experiments/…` means the checkout's if the current folder has none."""
    found = CHECKOUT / experiments
    if experiments.exists() or experiments.parts[:1] != ("experiments",) or not found.exists():
        return experiments
    warn(f"note: {experiments} is not in this folder; running {found}")
    return found
