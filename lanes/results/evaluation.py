"""Evaluates trained runs from their checkpoints: any split, other data, ensembles, MC dropout, pruned weights."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from lanes.analysis.magnitude_pruning import pruned
from lanes.data.loading import Dataset, load_dataset
from lanes.describe.reading import read_as
from lanes.engine.fresh_lanes import cheap_to_compile
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError, unknown
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack, numbers_of
from lanes.plan.planned import Planned
from lanes.program import predictions
from lanes.program.compiled import Compiled
from lanes.program.metrics import Evaluate
from lanes.program.over_lanes import Data
from lanes.program.places import Place, prepare_devices
from lanes.program.predictions import Mixture, Parts, Predict
from lanes.program.shared_activation import group_key
from lanes.results.selection import select_runs
from lanes.results.tables import joined, load
from lanes.storage import data_records
from lanes.storage.directory import Directory, existing
from lanes.storage.recorded_programs import in_recorded_programs
from lanes.storage.trained import run_of, variables_of

Tree = Any
SPLITS = ("train", "valid", "test")
STATISTICS = ("running", "recomputed")
MEMBER, ENSEMBLE = "mean member", "ensemble"  # in the column run_id
PREFIX = "evaluated_"  # of the added columns


@dataclasses.dataclass(frozen=True)
class Request:
    """What is evaluated, and how.

    Attributes:
        epoch: "best" or "last".
        data: another data set, a name, a description or a function; None is each run's own.
        split: "train", "valid" or "test".
        data_dir: where prepared TFDS sets are.
        ensemble: also evaluate the mean prediction of the runs.
        mc_dropout: average the predictions of this many passes with dropout on; None is one pass with dropout off.
        batch_statistics: "running", or "recomputed" on the whole training split.
        prune: sparsities s in [0, 1); also evaluate with the share s of smallest kernel weights set to zero.
        trust: False refuses to execute the directory's copy of the experiment, which is code.
    """

    epoch: str = "best"
    data: Any = None
    split: str = "test"
    data_dir: str | None = None
    ensemble: bool = False
    mc_dropout: int | None = None
    batch_statistics: str = "running"
    prune: tuple[float, ...] = ()
    trust: bool = True

    def check(self) -> None:
        """Raise RequestError for a value out of range."""
        if self.epoch not in ("best", "last"):
            raise RequestError(f"--epoch is {self.epoch!r}: only the best and the last are kept; choose best or last")
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if self.batch_statistics not in STATISTICS:
            raise unknown("--batch-statistics", self.batch_statistics, STATISTICS)
        if self.mc_dropout is not None and self.mc_dropout < 1:
            raise RequestError(f"--mc-dropout is {self.mc_dropout}: the number of passes must be at least 1")
        for sparsity in self.prune:
            if not 0 <= sparsity < 1:
                raise RequestError(f"--prune is {sparsity}: the share of weights set to zero must be in [0, 1)")
        if self.prune and self.ensemble:
            raise RequestError("--prune evaluates single runs: leave out --ensemble")


def evaluate(
    directory: str | os.PathLike[str],
    *,
    run_ids: Sequence[str] = (),
    best: int | None = None,
    where: Sequence[str] = (),
    metric: str | None = None,
    **request: Any,
) -> pd.DataFrame:
    """Restore runs from their checkpoints and evaluate them.

    By default each run is evaluated on its own test split at its best epoch, which reproduces the stored results.
    Diverged and failed runs are left out, and runs of an earlier version of their experiment file.

    Args:
        directory: of the sweep.
        run_ids: identities or prefixes of them; none is all ended runs.
        best: number of best combinations, ranked by the metric's mean over seeds, whose runs to evaluate.
        where: `FIELD=VALUE` conditions, alternatives joined by `|`; `best` then ranks the matching runs only.
        metric: ranks the combinations; by default validation accuracy if there is one, else validation loss.
        request: fields of `Request`: epoch, data, split, data_dir, ensemble, mc_dropout, batch_statistics, prune, trust.

    Returns:
        The runs' rows of `lanes.load`, with `evaluated_on` and a column `evaluated_M` for each metric M; for each sparsity
        S of `prune` also `evaluated_M_pruned_S`. With `ensemble` two more rows, whose run_id is "mean member" (the mean of
        the others) and "ensemble".

    Raises RequestError if the request cannot be met.
    """
    requested = Request(**request)
    requested.check()
    prepare_devices()
    (opened,) = existing([directory])
    table = select_runs(opened, load(directory), tuple(run_ids), best, tuple(where), metric)
    described = opened.read_runs().set_index("run_id").loc[table["run_id"]]
    plan = make_plan(
        [run_of(opened, row, requested.trust) for _, row in described.iterrows()],
        Options(devices=1, data_dir=requested.data_dir),
    )
    data_records.check(opened, [member.data for member in plan.planned])
    members = in_recorded_programs(plan.planned, described.reset_index())
    planned = dict(zip(table["run_id"], members, strict=True))
    if requested.ensemble:
        _check_ensemble(planned, requested)
    evaluator = _Evaluator(opened, requested, plan.datasets, plan.places[0])
    columns: dict[str, dict[str, Any]] = {}
    for pack, rows in table.groupby("pack", sort=False):
        columns |= evaluator.pack(str(pack), rows, planned)
    out = table.merge(pd.DataFrame.from_dict(columns, orient="index"), left_on="run_id", right_index=True, how="left")
    if requested.ensemble:
        out = joined([out, evaluator.ensemble_rows(out)])
    out.attrs = table.attrs  # neither merging nor joining keeps them
    return out


# ---- evaluating --------------------------------------------------------------------------------------------------


class _Evaluator:
    """Evaluates packs, one checkpoint at a time, at the width that they were trained at."""

    def __init__(self, opened: Directory, request: Request, datasets: Datasets, place: Place):
        self.opened, self.request, self.datasets, self.place = opened, request, datasets, place
        self._other = None if request.data is None else other_data(request)
        self._compiled = Compiled()
        self._on_device: tuple[Any, Any] = (None, None)
        self._total: Parts = ()
        self._members: list[Planned] = []

    def pack(self, pack_id: str, rows: pd.DataFrame, planned: dict[str, Planned]) -> dict[str, dict[str, Any]]:
        """The added columns by run_id, for runs of one pack."""
        members = [planned[run_id] for run_id in rows["run_id"]]
        width = int(rows["pack_shape"].iloc[0].split(",")[0])
        average = members[0].run.average
        variables = variables_of(
            self.opened, pack_id, [int(lane) for lane in rows["lane"]], self.request.epoch, average
        )
        columns = {}
        for indices, group in _groups(members, width):
            padded = np.array([*indices, *[indices[0]] * (width - len(indices))])
            own = jax.tree.map(lambda leaf, padded=padded: leaf[padded], variables)
            values = self._group(group, own)
            for sparsity in self.request.prune:
                sparse = self._group(group, {**own, "params": pruned(own["params"], sparsity)})
                values |= {f"{name}_pruned_{sparsity:g}": value for name, value in sparse.items()}
            for lane, index in enumerate(indices):
                row = {f"{PREFIX}{name}": float(value[lane]) for name, value in values.items()}
                columns[rows["run_id"].iloc[index]] = {"evaluated_on": self._name(members[index]), **row}
        return columns

    def _group(self, group: Pack, variables: Tree) -> dict[str, np.ndarray]:
        """Metrics [width] of a group by name; its predictions are added to the ensemble's."""
        member, request = group.members[0], self.request
        data, splits = self._splits(member)
        variables, numbers = self.place.split((variables, numbers_of(group)))
        if request.batch_statistics == "recomputed":
            variables = self._recomputed(group, variables, numbers, splits["train"])
        metrics: dict[str, Any] = {}
        if request.mc_dropout is None:
            function = Evaluate(group.setup, group.width)
            metrics |= self._call("evaluate", group, function, variables, numbers, data)[request.split]
        elif without := [m.run_id for m in group.members if not predictions.has_dropout(group.setup, m.run)]:
            raise RequestError(f"--mc-dropout: run {without[0]} has no dropout; choose runs with dropout")
        whole = predictions.set_metrics_of(member.run, self._data(member).task, member.setup.outputs)
        if whole or request.ensemble or request.mc_dropout is not None:
            mixture, judged = _mixture(member), request.mc_dropout is not None
            predict = Predict(group.setup, group.width, mixture, request.mc_dropout, judged, whole)
            parts, more = self._call("predict", group, predict, variables, numbers, splits["evaluated"])
            metrics |= more
            if request.ensemble:
                self._add(mixture, parts, group)
        return jax.device_get(metrics)

    def _call(self, name: str, group: Pack, function: Callable, *args: Any) -> Any:
        """Call a program, compiled once per signature with the options that training uses for its evaluation."""
        options = cheap_to_compile(self.place)
        key = (name, group.signature, group.width)
        return self._compiled.get(key, self.place, function, 2, args, **options)(*args)

    def _recomputed(self, group: Pack, variables: Tree, numbers: Tree, train: Any) -> Tree:
        if "batch_stats" not in variables["rest"]:
            net = type(group.setup.run.net).__name__
            raise RequestError(
                f"--batch-statistics recomputed: net {net} keeps no batch statistics; leave the option out"
            )
        function = functools.partial(predictions.recompute, group.setup, group.width)
        return self._call("recompute", group, function, variables, numbers, train)

    # ---- data ----------------------------------------------------------------------------------------------------

    def _data(self, member: Planned) -> Dataset:
        return self.datasets.of(member.run)

    def _name(self, member: Planned) -> str:
        return f"{(self._other or self._data(member)).name} {self.request.split}"

    def _splits(self, member: Planned) -> tuple[Data, dict[str, Any]]:
        """Data of the evaluation program, and the splits "evaluated" and "train" of the others; standardized as in training."""
        own = self._data(member)
        if self._on_device[0] is not own:
            data = own if self._other is None else fitting(read_as(member.run, self._other, own), own)
            available = data.splits()
            if self.request.split not in available:
                raise RequestError(
                    f"--split is {self.request.split}: {data.name} has {', '.join(available)}; choose one of these"
                )
            # Training evaluates these splits together: with the same blocks the last digits agree.
            together = (self.request.split,) if self._other or self.request.split == "valid" else ("train", "test")
            arrays = {name: (np.asarray(part.x), np.asarray(part.y)) for name, part in available.items()}
            scaling = self.place.shared((np.asarray(own.offset), np.asarray(own.scale)))
            needed = self.place.shared({name: arrays[name] for name in together if name in arrays})
            splits = {"evaluated": (*needed[self.request.split], *scaling)}
            if self.request.batch_statistics == "recomputed":
                train = self.place.shared((np.asarray(own.train.x), np.asarray(own.train.y)))
                splits["train"] = (*train, *scaling)
            self._on_device = own, (Data(needed, *scaling), splits)
        return self._on_device[1]

    # ---- ensemble ------------------------------------------------------------------------------------------------

    def _add(self, mixture: Mixture, parts: Parts, group: Pack) -> None:
        for lane in group.places:
            new = tuple(part[lane] for part in parts)
            self._total = tuple(map(mixture.add, self._total, new)) if self._total else new
        self._members += group.members

    def ensemble_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Two rows: the mean of the members' metrics, and the metrics of their mean prediction."""
        member, split = self._members[0], self._splits(self._members[0])[1]["evaluated"]
        mixture, run = _mixture(member), member.run
        whole = predictions.set_metrics_of(run, self._data(member).task, member.setup.outputs)

        @jax.jit
        def measured(total: Parts, split: predictions.Split) -> dict[str, Any]:
            mean = mixture.mean(total, len(self._members))
            of_set = {name: predictions.set_metric(name, mixture, run, mean, split) for name in whole}
            return predictions.judge(mixture, run, mean, split) | of_set

        metrics = jax.device_get(measured(self._total, split))
        ensemble = {f"{PREFIX}{name}": float(value) for name, value in metrics.items()}
        common = {"evaluated_on": self._name(member)}
        means = {name: float(table[name].mean()) for name in ensemble}
        return pd.DataFrame([{"run_id": MEMBER, **common, **means}, {"run_id": ENSEMBLE, **common, **ensemble}])


def _mixture(member: Planned) -> Mixture:
    mixture = predictions.mixture_of(member.run, member.setup.outputs)
    if mixture is None:
        raise RequestError(
            f"task {type(member.run.task).__name__} has no prediction to average: leave out --ensemble and --mc-dropout"
        )
    return mixture


def _groups(members: Sequence[Planned], width: int) -> Iterator[tuple[list[int], Pack]]:
    """Groups of members that one program computes at once: their indices, and a pack of that group alone."""
    by_key: dict[float, list[int]] = {}
    for index, member in enumerate(members):
        by_key.setdefault(group_key(member.compiled), []).append(index)
    for indices in by_key.values():
        for first in range(0, len(indices), width):
            part = indices[first : first + width]
            yield part, Pack((*(members[index] for index in part), *[None] * (width - len(part))), width, 1)


def _check_ensemble(planned: dict[str, Planned], request: Request) -> None:
    kinds = {predictions.comparable(member.run, request.split) for member in planned.values()}
    if len(kinds) > 1:
        raise RequestError(
            "--ensemble: the selected runs differ in data, task, loss or output, so they have no mean prediction; "
            "narrow them with --where"
        )


def other_data(request: Request) -> Dataset:
    """The data set of `--data`.

    Raises RequestError if it cannot be loaded.
    """
    try:
        return load_dataset(request.data, data_dir=request.data_dir)
    except RequestError:
        raise
    except (ValueError, OSError) as error:
        raise RequestError(str(error)) from error


def fitting(data: Dataset, own: Dataset) -> Dataset:
    """`data`, checked to suit a net that was trained on `own`.

    Raises RequestError if inputs or targets differ in shape or kind.
    """
    fewer = data.task in ("classes", "tokens") and data.outputs < own.outputs
    if _shape(data) != _shape(own) or not (fewer or data.outputs == own.outputs):
        raise RequestError(
            f"--data is {_described(data)}; the runs were trained on {_described(own)}: shapes and task must be equal"
        )
    try:
        return data.seen_by(own)
    except ValueError as error:
        raise RequestError(f"--data: {error}") from None


def _described(data: Dataset) -> str:
    return f"{data.name} (inputs {list(data.train.x.shape[1:])}, {data.outputs} outputs, task {data.task})"


def _shape(data: Dataset) -> tuple[str, list[int], bool]:
    return data.task, list(data.train.x.shape[1:]), data.train.x.dtype == np.int32
