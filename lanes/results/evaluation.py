"""Evaluate trained runs from a sweep's checkpoints: any split, another data set, their mean prediction, MC dropout."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lanes.analysis.magnitude_pruning import pruned
from lanes.data.loading import Dataset, load_dataset
from lanes.engine.fresh_lanes import quickly
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError, unknown
from lanes.plan.packs import Pack, numbers_of
from lanes.plan.planned import Datasets, Planned
from lanes.program import predictions
from lanes.program.compiled import Compiled
from lanes.program.metrics import Evaluate
from lanes.program.over_lanes import Data
from lanes.program.places import Place, prepare_devices
from lanes.program.predictions import Mixture, Parts, Predict
from lanes.program.shared_activation import group_key
from lanes.results.axes import swept_axes
from lanes.results.selection import chosen
from lanes.results.statistics import selection_metric, sibling
from lanes.results.tables import load
from lanes.storage.directory import Directory, existing
from lanes.storage.trained import run_of, variables_of

Tree = Any
SPLITS = ("train", "valid", "test")
STATISTICS = ("running", "recomputed")
MEMBER, ENSEMBLE = "mean member", "ensemble"  # in the place of a run_id
PREFIX = "evaluated_"  # of the columns that an evaluation adds


@dataclasses.dataclass(frozen=True)
class Request:
    """What is evaluated, and how.

    Attributes:
        epoch: "best" or "last".
        data: another data set: a name, a description or a function; None is each run's own.
        split: "train", "valid" or "test".
        data_dir: where prepared TFDS sets are.
        ensemble: also the mean prediction of the runs.
        mc_dropout: number of passes with dropout on whose mean is the prediction; None is one pass with dropout off.
        batch_statistics: "running", or "recomputed" on the whole training split.
        prune: sparsities s in [0, 1): also with the share s of the kernels' weights, the smallest, at zero.
    """

    epoch: str = "best"
    data: Any = None
    split: str = "test"
    data_dir: str | None = None
    ensemble: bool = False
    mc_dropout: int | None = None
    batch_statistics: str = "running"
    prune: tuple[float, ...] = ()

    def check(self) -> None:
        """Raise RequestError for a value out of its range."""
        if self.epoch not in ("best", "last"):
            raise RequestError(f"--epoch is {self.epoch!r}: only the best and the last are kept; choose best or last")
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.batch_statistics not in STATISTICS:
            raise unknown("--batch-statistics", self.batch_statistics, STATISTICS)
        if self.mc_dropout is not None and self.mc_dropout < 1:
            raise RequestError(f"--mc-dropout is {self.mc_dropout}: it is a number of passes and must be at least 1")
        for sparsity in self.prune:
            if not 0 <= sparsity < 1:
                raise RequestError(f"--prune is {sparsity}: it is the share of weights at zero and must be in [0, 1)")
        if self.prune and self.ensemble:
            raise RequestError("--prune goes with single runs: leave --ensemble out")


def evaluate(
    directory: str | os.PathLike[str],
    *,
    run_ids: Sequence[str] = (),
    best: int | None = None,
    where: Sequence[str] = (),
    metric: str | None = None,
    **request: Any,
) -> pd.DataFrame:
    """Restore runs from their checkpoints and evaluate them; a row per run.

    The default, each run's own test split at its best epoch, gives the numbers of the results again. Diverged and
    failed runs are left out.

    Args:
        directory: the sweep's.
        run_ids: identities, or beginnings of them; none is all runs that have ended.
        best: the runs of so many best combinations by the metric, seeds being replicates.
        where: `FIELD=VALUE` conditions, several values joined by `|`; together with `best`, the best among these.
        metric: what ranks; validation accuracy where there is one, else validation loss.
        request: fields of `Request`: epoch, data, split, data_dir, ensemble, mc_dropout, batch_statistics, prune.

    Returns:
        The rows of `lanes.load` with a column `evaluated_M` for each metric M, and `evaluated_on`; for each sparsity S of
        `prune` also `evaluated_M_pruned_S`. With `ensemble` two more
        rows, whose run_id is "mean member" (the mean of the others) and "ensemble".

    Raises RequestError for whatever is wrong with the request.
    """
    asked = Request(**request)
    asked.check()
    prepare_devices()
    (opened,) = existing([directory])
    table = chosen(opened, load(directory), tuple(run_ids), best, tuple(where), metric)
    described = opened.read_runs().set_index("run_id").loc[table["run_id"]]
    plan = make_plan(
        [run_of(opened, row) for _, row in described.iterrows()], Options(devices=1, data_dir=asked.data_dir)
    )
    planned = dict(zip(table["run_id"], plan.planned, strict=True))
    if asked.ensemble:
        _check_ensemble(planned, asked)
    evaluator = _Evaluator(opened, asked, plan.datasets, plan.places[0])
    told: dict[str, dict[str, Any]] = {}
    for pack, rows in table.groupby("pack", sort=False):
        told |= evaluator.pack(str(pack), rows, planned)
    out = table.merge(pd.DataFrame.from_dict(told, orient="index"), left_on="run_id", right_index=True, how="left")
    return pd.concat([out, evaluator.ensemble_rows(out)], ignore_index=True) if asked.ensemble else out


# ---- evaluating --------------------------------------------------------------------------------------------------


class _Evaluator:
    """Evaluates packs, one checkpoint at a time, in groups of the width that they were trained at."""

    def __init__(self, opened: Directory, asked: Request, datasets: Datasets, place: Place):
        self.opened, self.asked, self.datasets, self.place = opened, asked, datasets, place
        self._other = None if asked.data is None else other_data(asked)
        self._compiled = Compiled()
        self._on_device: tuple[Any, Any] = (None, None)
        self._total: Parts = ()
        self._members: list[Planned] = []

    def pack(self, pack_id: str, rows: pd.DataFrame, planned: dict[str, Planned]) -> dict[str, dict[str, Any]]:
        """New columns by run_id, of runs of one pack."""
        members = [planned[run_id] for run_id in rows["run_id"]]
        width = int(rows["pack_shape"].iloc[0].split(",")[0])
        average = members[0].run.average
        variables = variables_of(self.opened, pack_id, [int(lane) for lane in rows["lane"]], self.asked.epoch, average)
        told = {}
        for at, group in _groups(members, width):
            places = np.array([*at, *[at[0]] * (width - len(at))])
            mine = jax.tree.map(lambda leaf, places=places: leaf[places], variables)
            values = self._group(group, mine)
            for sparsity in self.asked.prune:
                less = self._group(group, {**mine, "params": pruned(mine["params"], sparsity)})
                values |= {f"{name}_pruned_{sparsity:g}": value for name, value in less.items()}
            for lane, place in enumerate(at):
                row = {f"{PREFIX}{name}": float(value[lane]) for name, value in values.items()}
                told[rows["run_id"].iloc[place]] = {"evaluated_on": self._name(members[place]), **row}
        return told

    def _group(self, group: Pack, variables: Tree) -> dict[str, np.ndarray]:
        """Metrics [width] of a group, whose predictions are added to the ensemble's."""
        member, asked = group.members[0], self.asked
        data, splits = self._splits(member)
        variables, numbers = self.place.split((variables, numbers_of(group)))
        if asked.batch_statistics == "recomputed":
            variables = self._recomputed(group, variables, numbers, splits["train"])
        told: dict[str, Any] = {}
        if asked.mc_dropout is None:
            function = Evaluate(group.setup, group.width)
            told |= self._call("evaluate", group, function, variables, numbers, data)[asked.split]
        elif not predictions.has_dropout(group.setup, member.compiled):
            raise RequestError(f"--mc-dropout: run {member.run_id} has no dropout; choose runs that have")
        whole = predictions.set_metrics_of(member.run, self._data(member).task, member.setup.outputs)
        if whole or asked.ensemble or asked.mc_dropout is not None:
            mixture, judged = _mixture(member), asked.mc_dropout is not None
            predict = Predict(group.setup, group.width, mixture, asked.mc_dropout, judged, whole)
            parts, more = self._call("predict", group, predict, variables, numbers, splits["asked"])
            told |= more
            if asked.ensemble:
                self._add(mixture, parts, group)
        return jax.device_get(told)

    def _call(self, name: str, group: Pack, function: Callable, *args: Any) -> Any:
        """A program of a group's signature, compiled once, and as training compiles its evaluation."""
        options = quickly(self.place)
        key = (name, group.signature, group.width)
        return self._compiled.get(key, self.place, function, 2, args, **options)(*args)

    def _recomputed(self, group: Pack, variables: Tree, numbers: Tree, train: Any) -> Tree:
        if "batch_stats" not in variables["rest"]:
            net = type(group.setup.run.net).__name__
            raise RequestError(f"--batch-statistics recomputed: net {net} keeps no batch statistics; leave it out")
        function = functools.partial(predictions.recompute, group.setup, group.width)
        return self._call("recompute", group, function, variables, numbers, train)

    # ---- data ----------------------------------------------------------------------------------------------------

    def _data(self, member: Planned) -> Dataset:
        return self.datasets.of(member.run)

    def _name(self, member: Planned) -> str:
        return f"{(self._other or self._data(member)).name} {self.asked.split}"

    def _splits(self, member: Planned) -> tuple[Data, dict[str, Any]]:
        """What the evaluating program takes, and "asked" and "train" for the others; standardized as in training."""
        own = self._data(member)
        if self._on_device[0] is not own:
            data = own if self._other is None else fitting(self._other, own)
            there = data.splits()
            if self.asked.split not in there:
                raise RequestError(f"--split is {self.asked.split}: {data.name} has {', '.join(there)}; choose one")
            # Those that training evaluates together: the blocks, and so the last digits, are the same.
            together = (self.asked.split,) if self._other or self.asked.split == "valid" else ("train", "test")
            arrays = {name: (np.asarray(part.x), np.asarray(part.y)) for name, part in there.items()}
            scaling = self.place.shared((np.asarray(own.offset), np.asarray(own.scale)))
            needed = self.place.shared({name: arrays[name] for name in together if name in arrays})
            splits = {"asked": (*needed[self.asked.split], *scaling)}
            if self.asked.batch_statistics == "recomputed":
                train = self.place.shared((np.asarray(own.train.x), np.asarray(own.train.y)))
                splits["train"] = (*train, *scaling)
            self._on_device = own, (Data(needed, *scaling), splits)
        return self._on_device[1]

    # ---- ensemble ------------------------------------------------------------------------------------------------

    def _add(self, mixture: Mixture, parts: Parts, group: Pack) -> None:
        for place in group.places:
            new = tuple(part[place] for part in parts)
            self._total = tuple(map(mixture.add, self._total, new)) if self._total else new
        self._members += group.members

    def ensemble_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Two rows: the mean of the members' metrics, and the metrics of their mean prediction."""
        member, split = self._members[0], self._splits(self._members[0])[1]["asked"]
        mixture, run = _mixture(member), member.run
        whole = predictions.set_metrics_of(run, self._data(member).task, member.setup.outputs)

        @jax.jit
        def measured(total: Parts, split: predictions.Split) -> dict[str, Any]:
            mean = mixture.mean(total, len(self._members))
            of_set = {name: predictions.whole(name, mixture, run, mean, split) for name in whole}
            return predictions.judge(mixture, run, mean, split) | of_set

        told = jax.device_get(measured(self._total, split))
        values = {f"{PREFIX}{name}": float(value) for name, value in told.items()}
        common = {"evaluated_on": self._name(member)}
        each = {name: float(table[name].mean()) for name in values}
        return pd.DataFrame([{"run_id": MEMBER, **common, **each}, {"run_id": ENSEMBLE, **common, **values}])


def _mixture(member: Planned) -> Mixture:
    mixture = predictions.mixture_of(member.run, member.setup.outputs)
    if mixture is None:
        raise RequestError(
            f"task {type(member.run.task).__name__} has no prediction to average: leave --ensemble and --mc-dropout out"
        )
    return mixture


def _groups(members: Sequence[Planned], width: int) -> Iterator[tuple[list[int], Pack]]:
    """Lanes that can be computed at once, as places among the members and as a pack of one group."""
    by_key: dict[float, list[int]] = {}
    for at, member in enumerate(members):
        by_key.setdefault(group_key(member.compiled), []).append(at)
    for places in by_key.values():
        for first in range(0, len(places), width):
            part = places[first : first + width]
            yield part, Pack((*(members[at] for at in part), *[None] * (width - len(part))), width, 1)


def _check_ensemble(planned: dict[str, Planned], asked: Request) -> None:
    kinds = {predictions.comparable(one.run, asked.split) for one in planned.values()}
    if len(kinds) > 1:
        raise RequestError(
            "--ensemble: the chosen runs differ in data, task, loss or output: they have no mean prediction; use --where"
        )


def other_data(asked: Request) -> Dataset:
    """The data set of `--data`."""
    try:
        return load_dataset(asked.data, data_dir=asked.data_dir)
    except RequestError:
        raise
    except (ValueError, OSError) as error:
        raise RequestError(str(error)) from error


def fitting(data: Dataset, own: Dataset) -> Dataset:
    """`data`, if a net that was trained on `own` can be evaluated on it.

    Raises RequestError where inputs or targets differ in shape or kind.
    """
    fewer = data.task in ("classes", "tokens") and data.outputs < own.outputs
    if _shape(data) != _shape(own) or not (fewer or data.outputs == own.outputs):
        raise RequestError(f"--data is {_says(data)}; the runs were trained on {_says(own)}: these must be equal")
    return data


def _says(data: Dataset) -> str:
    return f"{data.name} (inputs {list(data.train.x.shape[1:])}, {data.outputs} outputs, task {data.task})"


def _shape(data: Dataset) -> tuple[str, list[int], bool]:
    return data.task, list(data.train.x.shape[1:]), data.train.x.dtype == np.int32


# ---- showing -----------------------------------------------------------------------------------------------------


def print_evaluation(table: pd.DataFrame, metric: str | None = None, console: Console | None = None) -> None:
    """Print what `evaluate` returned: identity, swept fields, the stored metrics, the new ones."""
    console = console or Console()
    if not console.is_terminal:  # a log file has no width of its own
        console = Console(file=console.file, width=max(console.width, 200))
    members = table[~table["run_id"].isin((MEMBER, ENSEMBLE))]
    axes, _ = swept_axes(members)
    ranking = selection_metric(members, metric)
    asked = str(table["evaluated_on"].iloc[0])
    stored = dict.fromkeys(name for name in (ranking, sibling(ranking, asked.split()[-1], members)) if name in members)
    names = ["run_id", *(axis.name for axis in axes), "seed", *stored]
    evaluated = [name for name in table.columns if name.startswith(PREFIX) and name != "evaluated_on"]
    shown = Table(title=Text(f"{len(members)} runs on {asked}"), title_justify="left", box=None, pad_edge=False)
    for name in names + evaluated:
        numeric = name in stored or name in evaluated
        shown.add_column(Text(name), justify="right" if numeric else "left", no_wrap=numeric or name == "run_id")
    for _, row in table.iterrows():
        shown.add_row(*(Text(_cell(row[name])) for name in names + evaluated))
    console.print(shown)


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
