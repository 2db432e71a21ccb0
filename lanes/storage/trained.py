"""Finding and restoring the trained runs of a sweep's directory."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import flax.linen as nn
import jax
import numpy as np

from lanes.data.loading import Dataset
from lanes.describe import runs, trusted
from lanes.describe.columns import display_name
from lanes.describe.experiment_files import load_module
from lanes.describe.identity import from_description, parsed
from lanes.describe.outputs import fitted
from lanes.describe.runs import Run
from lanes.errors import DamagedFileError, RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.planned import setup_of
from lanes.program.natural import in_natural_units
from lanes.program.shared_widths import own_part
from lanes.program.sharing import sharing_of
from lanes.program.step import build_net
from lanes.storage import checkpoints, data_records
from lanes.storage import pandas_when_used as pd
from lanes.storage.directory import Directory, existing
from lanes.storage.experiment_copies import modules_of
from lanes.storage.references import parse
from lanes.storage.schema import PROGRAM

Variables = dict[str, Any]
Restored = tuple[nn.Module, Variables]  # a net and its variables
MOST_SOURCES = 20  # codes of codes of codes


def find_run(directory: Directory, run_id: str, planned: pd.DataFrame | None = None) -> pd.Series:
    """The row of a planned run, by its run_id or an unambiguous prefix of it; `planned` is the directory's plan, if at hand.

    Raises RequestError if no run matches, or more than one.
    """
    table = directory.planned_runs() if planned is None else planned
    found = np.flatnonzero(table["run_id"].str.startswith(run_id))
    if len(found) == 1:
        return table.iloc[found[0]]
    if len(found) > 1:
        raise RequestError(f"run {run_id!r} matches {len(found)} runs of {directory.path}: write more digits")
    close = difflib.get_close_matches(run_id, list(table["run_id"]), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise RequestError(f"unknown run {run_id!r} in {directory.path}: {hint}runs.parquet lists its {len(table)} run_ids")


def run_of(directory: Directory, row: pd.Series, trust: bool = True) -> Run:
    """The run that a row of `runs.parquet` describes.

    The directory's copy of the experiment is loaded, and so executed, only if the run names something in it.

    Args:
        directory: of the sweep.
        row: of its planned runs.
        trust: False refuses to execute code of the directory.

    Raises RequestError for a run that cannot be described again, or that needs code which is not trusted.
    """
    experiment = None
    name = row.get("experiment")
    description = parsed(row["description"])
    needed = trusted.own_code(description)
    _check_sources(description, trust)
    if needed and not trust:
        raise RequestError(
            f"run {row.get('run_id', row.name)} needs {', '.join(needed[:4])} of {directory.path / str(name)}, which is code: "
            "read it, and leave out --no-code (trust=False) if you trust it"
        )
    if needed and isinstance(name, str):
        copied = modules_of(directory, row.get("experiment_modules"))
        experiment = load_module(directory.path / Path(name).name, row.get("experiment_sha256"), copied)
    return from_description(description, experiment)


def _check_sources(description: Mapping[str, Any], trust: bool) -> None:
    """Raise RequestError where the data are codes of codes without an end, or of a run that needs code which is not trusted."""
    seen: list[str] = []
    left = trusted.sources(description)
    while left:
        text = left.pop()
        if text in seen or len(seen) > MOST_SOURCES:
            raise RequestError(f"data that are the codes of {text} are the codes of themselves")
        seen.append(text)
        source = parse(text)
        (directory,) = existing([source.directory], changes=False)
        inside = parsed(find_run(directory, source.run)["description"])
        if not trust and (needed := trusted.own_code(inside)):
            raise RequestError(
                f"run {source.run} needs {', '.join(needed[:4])} of {directory.path}, which is code: "
                "read it, and leave out --no-code (trust=False) if you trust it"
            )
        left += trusted.sources(inside)


@overload
def restore(  # type: ignore[overload-overlap]  # a text is a sequence of texts
    directory: str | os.PathLike[str],
    run_id: str,
    epoch: str = "best",
    data_dir: str | None = None,
    trust: bool = True,
) -> Restored:
    """One run."""


@overload
def restore(
    directory: str | os.PathLike[str],
    run_id: Iterable[str],
    epoch: str = "best",
    data_dir: str | None = None,
    trust: bool = True,
) -> list[Restored]:
    """Several runs."""


def restore(
    directory: str | os.PathLike[str],
    run_id: str | Iterable[str],
    epoch: str = "best",
    data_dir: str | None = None,
    trust: bool = True,
) -> Restored | list[Restored]:
    """A trained run's net and its variables (`params`, batch statistics) as host arrays: `net.apply(variables, x, train=False)`.

    A list of run_ids gives a list of such pairs, in its order: each checkpoint and each data set is read once, so many runs
    take little longer than one.

    The net of a run with standardized targets predicts in the units of the data, that of a Gaussian likelihood means and
    standard deviations, [B, 2 D].

    Args:
        directory: of the sweep.
        run_id: the run's identity or a prefix of it, or several.
        epoch: "best" or "last".
        data_dir: where prepared TFDS sets are, as for the sweep: the net's shapes come from the data.
        trust: False refuses to execute the directory's copy of the experiment, which is code.

    Raises RequestError if a run is not trained yet, its data are missing or have changed, or its checkpoint is damaged.
    """
    (opened,) = existing([directory])
    if isinstance(run_id, str):
        return restored(opened, run_id, epoch, data_dir, trust)
    found = runs_and_variables(opened, list(run_id), epoch, data_dir, trust)
    return [(_net(run, data), variables) for run, data, variables in found]


def restored(
    opened: Directory, run_id: str, epoch: str = "best", data_dir: str | None = None, trust: bool = True
) -> Restored:
    """`restore` from a directory that is open already."""
    run, data, variables = run_and_variables(opened, run_id, epoch, data_dir, trust)
    return _net(run, data), variables


def _net(run: Run, data: Dataset) -> nn.Module:
    return in_natural_units(build_net(setup_of(run, data), run), run)


def run_and_variables(
    opened: Directory, run_id: str, epoch: str = "best", data_dir: str | None = None, trust: bool = True
) -> tuple[Run, Dataset, Variables]:
    """A trained run as its program sees it, the data set that it was trained on, and its variables as host arrays."""
    return runs_and_variables(opened, [run_id], epoch, data_dir, trust)[0]


def runs_and_variables(
    opened: Directory, run_ids: Sequence[str], epoch: str = "best", data_dir: str | None = None, trust: bool = True
) -> list[tuple[Run, Dataset, Variables]]:
    """`run_and_variables` of several runs, in their order."""
    planned = opened.planned_runs()
    rows = [find_run(opened, run_id, planned) for run_id in run_ids]
    described = [run_of(opened, row, trust) for row in rows]
    packs: dict[Any, list[int]] = {}
    for at, (row, run) in enumerate(zip(rows, described, strict=True)):
        # Runs of a pack may keep averages of unlike strength.
        packs.setdefault((row["pack"], runs.resolve(run).average), []).append(at)
    variables: dict[int, Variables] = {}
    for (pack, average), indices in packs.items():
        stacked = variables_of(opened, pack, [int(rows[at]["lane"]) for at in indices], epoch, average)
        whole = {"params": stacked["params"], **stacked["rest"]}
        variables |= {at: own_variables(rows[at], lane_of(whole, number)) for number, at in enumerate(indices)}
    datasets = _checked_data(opened, described, data_dir)
    out = []
    for at, run in enumerate(described):
        data = datasets.of(run)
        out.append((fitted(run, data), data, variables[at]))
    return out


def open_run(directory: str | os.PathLike[str], run_id: str, trust: bool = True) -> Run:
    """A run of a directory as it was planned: a `Run` to read, to change with `dataclasses.replace` or to train again.

    Args:
        directory: of the sweep.
        run_id: the run's identity or a prefix of it.
        trust: False refuses to execute the directory's copy of the experiment, which is code.

    Raises RequestError if there is no such run, or if what it names has changed or needs code that is not trusted.
    """
    (opened,) = existing([directory])
    return run_of(opened, find_run(opened, run_id), trust)


def stored_variables(
    directory: str | os.PathLike[str], run_id: str, epoch: str = "best", trust: bool = True
) -> tuple[str, Variables]:
    """A trained run's full run_id and its variables as host arrays, as `restore` gives them, without its data.

    No code of the directory is executed but for the average of the last epoch's parameters.

    Raises RequestError as `restore` does.
    """
    (opened,) = existing([directory])
    row = find_run(opened, run_id)
    average = runs.resolve(run_of(opened, row, trust)).average if epoch == "last" else None
    variables = variables_of(opened, row["pack"], [int(row["lane"])], epoch, average)
    return row["run_id"], own_variables(row, lane_of({"params": variables["params"], **variables["rest"]}, 0))


def data_of(directory: Directory, run: Run, data_dir: str | None = None) -> Dataset:
    """The data set that a run of the directory was trained on.

    Raises RequestError if it cannot be loaded, or gives other arrays than then.
    """
    return _checked_data(directory, [run], data_dir).of(run)


def _checked_data(directory: Directory, described: Sequence[Run], data_dir: str | None) -> Datasets:
    """The data sets of runs of the directory, which are those that they were trained on."""
    datasets = Datasets(data_dir)
    records: dict[Any, None] = {}
    for run in described:
        try:
            records[datasets.record(run)] = None
        except RequestError:
            raise
        except (ValueError, OSError) as error:
            raise RequestError(f"data {display_name(run.data)} cannot be loaded: {error}") from error
    data_records.check(directory, list(records))
    return datasets


def own_variables(row: pd.Series, variables: Variables) -> Variables:
    """The variables of a run's own net, by its row of `runs.parquet`, where its program's net may be wider.

    Raises RequestError for a row that no such program has.
    """
    text = row.get(PROGRAM)
    if not isinstance(text, str) or not sharing_of(text).widths:
        return variables
    net = parsed(row["description"])["net"]
    widths = net.get("fields", {}).get("widths") if isinstance(net, dict) else None
    if not isinstance(widths, list) or not all(type(width) is int for width in widths):
        raise RequestError(
            f"run {row['run_id']} has the program {text!r}, and its net has no widths: its row is damaged"
        )
    return {**variables, "params": own_part(variables["params"], widths)}


def lane_of(tree: Any, at: int) -> Any:
    """A lane's arrays, of a tree of stacked ones."""
    return {name: lane_of(leaf, at) if isinstance(leaf, dict) else leaf[at] for name, leaf in tree.items()}


def variables_of(
    directory: Directory, pack: str, lanes: list[int], epoch: str = "best", average: Any = None
) -> Variables:
    """The variables that were evaluated, `{"params", "rest"}` [len(lanes), …], from a pack's newest checkpoint, in the sizes of
    the program's net (`own_variables`).

    Args:
        directory: of the sweep.
        pack: pack_id.
        lanes: lanes of the pack.
        epoch: "best" (the last one for lanes without a best epoch) or "last".
        average: the runs' averaging, if any; the last epoch is then evaluated at the average.

    Raises RequestError for any other epoch, and if the pack has no intact checkpoint.
    """
    if epoch not in ("best", "last"):
        raise RequestError(f"epoch is {epoch!r}: only the best and the last are kept; choose best or last")
    try:
        found = directory.checkpoint(pack)
    except DamagedFileError as error:
        raise RequestError(str(error)) from error
    if found is None:
        raise RequestError(
            f"pack {pack} of {directory.path} has no checkpoint: if its runs have not ended, repeat the sweep's command; if "
            f"they have, repeat one by `lanes train --run {directory.path}:RUN_ID --out …`"
        )
    _, leaves = found
    if "best_epoch" not in leaves or any(np.ndim(leaf) and len(leaf) <= max(lanes) for leaf in leaves.values()):
        raise RequestError(f"the checkpoint of pack {pack} of {directory.path} has not the lanes of its runs")
    selected = {name: leaf[np.array(lanes)] for name, leaf in leaves.items() if np.ndim(leaf)}
    last = {part: checkpoints.nest(selected, f"trained.{part}") for part in ("params", "rest")}
    if epoch == "last":
        return last if average is None else {**last, "params": _averaged(average, last["params"], selected)}
    has_best = selected["best_epoch"] > 0
    best = {part: checkpoints.nest(selected, f"best.{part}") for part in ("params", "rest")}
    if checkpoints.flatten(best).keys() != checkpoints.flatten(last).keys():
        raise RequestError(f"the checkpoint of pack {pack} of {directory.path} has no best parameters like its last")
    return jax.tree.map(lambda b, z: np.where(has_best.reshape(-1, *(1,) * (b.ndim - 1)), b, z), best, last)


def _averaged(average: Any, params: Variables, leaves: dict[str, np.ndarray]) -> Variables:
    """The averaged parameters of the lanes, from the averaging state in the checkpoint."""
    prefix = "trained.average."
    inside = {name.removeprefix(prefix): leaf for name, leaf in leaves.items() if name.startswith(prefix)}
    state = checkpoints.unflatten(jax.eval_shape(jax.vmap(average.init), params), inside)
    return jax.tree.map(np.asarray, jax.vmap(average.params)(state))
