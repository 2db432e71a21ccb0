"""Evaluates lanes from their checkpoints, at the width that they were trained at."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from lanes.analysis.magnitude_pruning import pruned
from lanes.data.loading import Dataset
from lanes.engine.fresh_lanes import cheap_to_compile
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.packs import Pack, numbers_of
from lanes.plan.planned import Planned
from lanes.program import judging, predictions, shared_widths
from lanes.program.compiled import Compiled, Programs
from lanes.program.metrics import Evaluate
from lanes.program.mixtures import Mixture, Parts, mixture_of
from lanes.program.over_lanes import Data
from lanes.program.places import Place
from lanes.program.predictions import Predict, Told
from lanes.program.shared_activation import group_key
from lanes.results.conditions import Condition
from lanes.results.evaluated_data import evaluated_splits
from lanes.results.evaluation_request import Request
from lanes.results.prediction_files import PredictionFile
from lanes.results.told import CLEAN, Kind, Tables, said
from lanes.storage.directory import Directory
from lanes.storage.trained import lane_of, variables_of

Tree = Any
MEMBER, ENSEMBLE = "mean member", "ensemble"  # in the column run_id
PREFIX = "evaluated_"  # of the added columns
STILL = "still"  # a metric that becomes a note


class Evaluator:
    """Evaluates packs, one checkpoint at a time.

    Args:
        opened: the sweep's directory.
        request: what is evaluated.
        datasets: of the runs.
        other: the data set of `--data`.
        place: where programs run.
        programs: compiled before.

    Attributes:
        compiled: the programs.
        still: largest share of inputs that an attack could not move, by condition.
        columns: by condition the column of each metric.
    """

    def __init__(
        self,
        opened: Directory,
        request: Request,
        datasets: Datasets,
        other: Dataset | None,
        place: Place,
        programs: Programs | None = None,
    ):
        self.opened, self.request, self.datasets, self.place = opened, request, datasets, place
        self.other = other
        self.compiled = Compiled(programs=programs)
        self.still: dict[str, float] = {}
        self.columns: dict[str, dict[str, str]] = {}
        self.tables: Tables | None = None
        self.file: PredictionFile | None = None
        self._on_device: tuple[Any, Any] = (None, None)
        self._amounts: dict[tuple[int, Condition], Any] = {}
        self._totals: dict[str, Parts] = {}
        self._members: list[Planned] = []

    def pack(self, pack_id: str, rows: pd.DataFrame, planned: dict[str, Planned]) -> dict[str, dict[str, Any]]:
        """The added columns by run_id, for runs of one pack."""
        members = [planned[run_id] for run_id in rows["run_id"]]
        width = int(rows["pack_shape"].iloc[0].split(",")[0])
        average = members[0].run.average
        lanes = [int(lane) for lane in rows["lane"]]
        variables = variables_of(self.opened, pack_id, lanes, self.request.epoch, average)
        columns: dict[str, dict[str, Any]] = {}
        for indices, group in _groups(members, width):
            padded = np.array([*indices, *[indices[0]] * (width - len(indices))])
            own = jax.tree.map(lambda leaf, padded=padded: leaf[padded], variables)
            for index in indices:
                columns[rows["run_id"].iloc[index]] = {"evaluated_on": self._name(members[index])}
            for label, variant in self._variants(group, own):
                of_group = self._prepared(group, variant)
                for condition in (None, *self.request.conditions):
                    whole = f"{label}_{condition.name}" if condition is not None else label
                    values = self._group(group, of_group, condition, whole)
                    if condition is not None:
                        named = {name: f"{PREFIX}{name}{whole}" for name in values}
                        self.columns.setdefault(whole[1:], {}).update(named)
                    for lane, index in enumerate(indices):
                        row = {f"{PREFIX}{name}{whole}": float(value[lane]) for name, value in values.items()}
                        columns[rows["run_id"].iloc[index]] |= row
        return columns

    def _variants(self, group: Pack, variables: Tree) -> Iterator[tuple[str, Tree]]:
        """The variables as they are and pruned, with the ends of their columns' names."""
        yield "", variables
        for sparsity in self.request.prune:
            yield f"_pruned_{sparsity:g}", {**variables, "params": _pruned(group, variables["params"], sparsity)}

    def _prepared(self, group: Pack, variables: Tree) -> tuple[Tree, Tree]:
        """Variables and numbers on the device, with the batch statistics that are asked for."""
        variables, numbers = self.place.split((variables, numbers_of(group)))
        if self.request.batch_statistics == "recomputed":
            train = self._splits(group.members[0])[1]["train"]
            variables = self._recomputed(group, variables, numbers, train)
        return variables, numbers

    def _group(
        self, group: Pack, lanes: tuple[Tree, Tree], condition: Condition | None, label: str
    ) -> dict[str, np.ndarray]:
        """Metrics [width] of a group by name under a condition; its predictions are added to the ensemble's and the tables."""
        member, request = group.members[0], self.request
        own = self._data(member)
        data, splits = self._splits(member)
        perturbation = None if condition is None else condition.perturbation(own)
        amounts = () if condition is None else (self._amounts_of(condition, own),)
        key = () if perturbation is None else (perturbation,)
        mixture = mixture_of(member.run, member.setup.outputs)
        if mixture is None and (request.ensemble or request.mc_dropout is not None):
            raise no_prediction(member)
        metrics: dict[str, Any] = {}
        if request.mc_dropout is not None:
            self._check_dropout(group)
        elif condition is None or mixture is None:
            function = Evaluate(group.setup, group.width, perturbation)
            on = data if condition is None else Data({request.split: data.splits[request.split]}, *data[1:])
            metrics |= self._call("evaluate", key, group, function, *lanes, on, *amounts)[request.split]
        whole = self._set_metrics(member)
        judged = request.mc_dropout is not None or condition is not None
        if mixture is not None and (whole or judged or request.ensemble or request.tells):
            passes = request.mc_dropout
            predict = Predict(group.setup, group.width, mixture, passes, judged, whole, perturbation, request.tells)
            key = (*key, passes, judged, whole, request.tells)
            parts, more, told = self._call("predict", key, group, predict, *lanes, splits["evaluated"], *amounts)
            metrics |= more
            if request.ensemble:
                self._add(mixture, parts, group, label)
            metrics = jax.device_get(metrics)
            if told is not None:
                metrics |= self._tell(jax.device_get(told), group, label)
        metrics = jax.device_get(metrics)
        if STILL in metrics:
            share = float(np.max(metrics.pop(STILL)[group.places]))
            self.still[label[1:]] = max(share, self.still.get(label[1:], 0.0))
        return metrics

    def _tell(self, told: Told, group: Pack, label: str) -> dict[str, np.ndarray]:
        """Take up what the lanes say in tables and files; returns the further metrics [width]."""
        further: dict[str, np.ndarray] = {}
        for lane, member in zip(group.places, group.members, strict=True):
            kind = Kind.of(member.run, self._data(member))
            decided = None if told.decisions is None else np.asarray(told.decisions[lane])
            one = said(kind, np.asarray(told.predictions[lane]), decided, np.asarray(told.targets[lane]))
            for name, value in self.take_up(member.run_id, label, one).items():
                further.setdefault(name, np.full(group.width, np.nan))[lane] = value
        return further

    def take_up(self, run_id: str, label: str, one: Any) -> dict[str, float]:
        """Take up what a run says under a condition; returns its further metrics."""
        condition = label[1:] or CLEAN
        if self.file is not None:
            self.file.add(run_id, condition, one)
        return {} if self.tables is None else self.tables.add(run_id, condition, one)

    def _check_dropout(self, group: Pack) -> None:
        without = [m.run_id for m in group.members if not predictions.has_dropout(group.setup, m.run)]
        if without:
            raise RequestError(f"--mc-dropout: run {without[0]} has no dropout; choose runs with dropout")

    def _set_metrics(self, member: Planned) -> tuple[str, ...]:
        found = judging.set_metrics_of(member.run, self._data(member).task, member.setup.outputs)
        return tuple(dict.fromkeys((*found, *self.request.named_measures)))

    def _call(self, name: str, key: tuple[Any, ...], group: Pack, function: Callable, *args: Any) -> Any:
        """Call a program, compiled once per signature with the options that training uses for its evaluation."""
        options = cheap_to_compile(self.place)
        whole = (name, *key, group.signature, group.width)
        return self.compiled.get(whole, self.place, function, 2, args, **options)(*args)

    def _recomputed(self, group: Pack, variables: Tree, numbers: Tree, train: Any) -> Tree:
        if "batch_stats" not in variables["rest"]:
            net = type(group.setup.run.net).__name__
            raise RequestError(
                f"--batch-statistics recomputed: net {net} keeps no batch statistics; leave the option out"
            )
        function = functools.partial(predictions.recompute, group.setup, group.width)
        return self._call("recompute", (), group, function, variables, numbers, train)

    # ---- data ----------------------------------------------------------------------------------------------------

    def _data(self, member: Planned) -> Dataset:
        return self.datasets.of(member.run)

    def _name(self, member: Planned) -> str:
        return f"{(self.other or self._data(member)).name} {self.request.split}"

    def _splits(self, member: Planned) -> tuple[Data, dict[str, Any]]:
        """Data of the evaluation program, and the splits "evaluated" and "train" of the others; standardized as in training."""
        own, split = self._data(member), self.request.split
        if self._on_device[0] is not own:
            available = evaluated_splits(member.run, own, self.other, split)
            self._amounts = {}
            self._evaluated = available[split]
            # Training evaluates these splits together: with the same blocks the last digits agree.
            together = (split,) if self.other or split in ("valid", "all") else ("train", "test")
            arrays = {name: (np.asarray(part.x), np.asarray(part.y)) for name, part in available.items()}
            scaling = self.place.shared((np.asarray(own.offset), np.asarray(own.scale)))
            needed = self.place.shared({name: arrays[name] for name in together if name in arrays})
            splits = {"evaluated": (*needed[split], *scaling)}
            if self.request.batch_statistics == "recomputed":
                train = self.place.shared((np.asarray(own.train.x), np.asarray(own.train.y)))
                splits["train"] = (*train, *scaling)
            self._on_device = own, (Data(needed, *scaling), splits)
        return self._on_device[1]

    def _amounts_of(self, condition: Condition, own: Dataset) -> Any:
        key = (id(own), condition)
        if key not in self._amounts:
            self._amounts[key] = self.place.shared(condition.amounts(own, self._evaluated))
        return self._amounts[key]

    # ---- ensemble ------------------------------------------------------------------------------------------------

    def _add(self, mixture: Mixture, parts: Parts, group: Pack, label: str) -> None:
        for lane in group.places:
            new = tuple(part[lane] for part in parts)
            total = self._totals.get(label)
            self._totals[label] = tuple(map(mixture.add, total, new)) if total else new
        self._members += group.members if not label else []

    def ensemble_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Two rows: the mean of the members' metrics, and the metrics of their mean prediction."""
        member, split = self._members[0], self._splits(self._members[0])[1]["evaluated"]
        mixture, run = mixture_of(member.run, member.setup.outputs), member.run
        assert mixture is not None
        whole = self._set_metrics(member)

        @jax.jit
        def measured(total: Parts, split: judging.Split) -> tuple[dict[str, Any], Told]:
            mean = mixture.mean(total, len(self._members))
            of_set = {name: judging.set_metric(name, mixture, run, mean, split) for name in whole}
            told = predictions.told_of(run, mixture, mean, split[1])
            return judging.judge(mixture, run, mean, split) | of_set, told

        ensemble: dict[str, float] = {}
        for label, total in self._totals.items():
            metrics, told = jax.device_get(measured(total, split))
            if self.request.tells:
                metrics |= self.take_up(ENSEMBLE, label, said(Kind.of(run, self._data(member)), *told))
            ensemble |= {f"{PREFIX}{name}{label}": float(value) for name, value in metrics.items()}
        common = {"evaluated_on": self._name(member)}
        means = {name: float(table[name].mean()) for name in ensemble}
        return pd.DataFrame([{"run_id": MEMBER, **common, **means}, {"run_id": ENSEMBLE, **common, **ensemble}])


def no_prediction(member: Planned) -> RequestError:
    """The error for a run that predicts no targets of its data."""
    return RequestError(
        f"task {type(member.run.task).__name__} has no prediction to average: leave out --ensemble and --mc-dropout"
    )


def _pruned(group: Pack, params: Tree, sparsity: float) -> Tree:
    """The parameters of a group's lanes, each with the smallest of its own net's weights at 0."""
    if not group.members[0].sharing.widths:
        return pruned(params, sparsity)
    lanes = []
    for at, member in enumerate(group.lanes):
        of_lane = jax.tree.map(lambda leaf, at=at: leaf[at : at + 1], params)
        own = shared_widths.own_part(lane_of(of_lane, 0), (member or group.members[0]).run.net.widths)
        kept = pruned(jax.tree.map(lambda leaf: leaf[None], own), sparsity)
        lanes.append(jax.tree.map(lambda leaf, like: _filled(leaf, like.shape), kept, of_lane))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *lanes)


def _filled(leaf: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.pad(leaf, [(0, size - own) for size, own in zip(shape, leaf.shape, strict=True)])


def _groups(members: Sequence[Planned], width: int) -> Iterator[tuple[list[int], Pack]]:
    """Groups of members that one program computes at once: their indices, and a pack of that group alone."""
    by_key: dict[float, list[int]] = {}
    for index, member in enumerate(members):
        by_key.setdefault(group_key(member.compiled), []).append(index)
    for indices in by_key.values():
        for first in range(0, len(indices), width):
            part = indices[first : first + width]
            yield part, Pack((*(members[index] for index in part), *[None] * (width - len(part))), width, 1)
