"""Trained runs as a diagnosis sees them: the net as a function of parameters and examples, and some examples of a split."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from lanes.data.dataset import Dataset, Split
from lanes.describe import identity, runs
from lanes.describe.outputs import fitted
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.packs import stacked
from lanes.plan.planned import NOT_TRAINING, setup_of, undrawing
from lanes.program.step import Setup, standardize
from lanes.results.models import Model
from lanes.storage import data_records
from lanes.storage.directory import Directory
from lanes.storage.trained import Variables, own_variables, run_of, variables_of
from nets import Outputs

Array = jax.Array
Tree = Any
SPLITS = ("train", "valid", "test")
TOGETHER = 2**20  # most input numbers of runs that are computed at once
MOST_TOGETHER = 16  # runs


@dataclasses.dataclass(frozen=True)
class Examples:
    """Some examples of a data set's split.

    Attributes:
        data: the data set.
        split: the split's name.
        rows: of the examples in it, ascending.
    """

    data: Dataset
    split: str
    rows: np.ndarray

    @functools.cached_property
    def raw(self) -> tuple[np.ndarray, np.ndarray]:
        """x [N, …] and y [N, …], as the data set holds them."""
        split = self.data.splits()[self.split].take(self.rows)
        return np.asarray(split.x), np.asarray(split.y)

    @functools.cached_property
    def inputs(self) -> Array:
        """x [N, …] as nets see them: standardized, or tokens."""
        return self.standardized(self.raw[0])

    @functools.cached_property
    def targets(self) -> Array:
        """y [N, …]."""
        return jnp.asarray(self.raw[1])

    def standardized(self, x: Any) -> Array:
        """Inputs [N, …], held as the data set holds its own, as nets see them."""
        return standardize(jnp.asarray(x), jnp.asarray(self.data.offset), jnp.asarray(self.data.scale))


@dataclasses.dataclass(frozen=True)
class Subject:
    """A trained run, and the examples that it is diagnosed on.

    Attributes:
        run_id: the run's identity.
        run: as its program sees it.
        variables: `params` and the net's other variables, host arrays.
        setup: what is static about the run; equal for runs whose nets share a program.
        examples: shared by runs of the same data.
    """

    run_id: str
    run: Run
    variables: Variables
    setup: Setup
    examples: Examples

    @property
    def data(self) -> Dataset:
        """The data set that the run was trained on."""
        return self.examples.data

    @property
    def split(self) -> str:
        """Name of the split that the examples are from."""
        return self.examples.split

    @property
    def rows(self) -> np.ndarray:
        """The rows of the examples in their split."""
        return self.examples.rows

    @property
    def raw(self) -> tuple[np.ndarray, np.ndarray]:
        """The examples x [N, …] and y [N, …], as the data set holds them."""
        return self.examples.raw

    @property
    def inputs(self) -> Array:
        """The examples' inputs [N, …] as the net sees them: standardized, or tokens."""
        return self.examples.inputs

    @property
    def targets(self) -> Array:
        """The examples' targets [N, …]."""
        return self.examples.targets

    @property
    def params(self) -> Tree:
        """The parameters."""
        return self.variables["params"]

    @property
    def rest(self) -> Tree:
        """The net's other variables."""
        return {name: part for name, part in self.variables.items() if name != "params"}

    @property
    def model(self) -> Model:
        """The run's net and loss as functions."""
        return Model(self.setup, self.run, self.rest)

    @functools.cached_property
    def numbers(self) -> dict[str, np.ndarray]:
        """The run's traced numbers by path."""
        return {name: value[0] for name, value in stacked([runs.numbers(undrawing(self.run))], 1).items()}

    def forward(self, params: Tree, x: Array) -> Outputs:
        """What the net makes of inputs as it sees them, [B, …], in evaluation mode. To be traced, differentiated, compiled."""
        return self.model.forward(params, x)

    def loss(self, params: Tree, x: Array, y: Array) -> Array:
        """What training lowers, on examples (`Model.loss`)."""
        return self.model.loss(params, x, y)


class Programs:
    """`function(model, params, x, y, …)` of runs and their examples, compiled once for all runs that share a program."""

    def __init__(self, function: Callable[..., Tree]):
        self.function = function
        self._compiled: dict[Any, Callable[..., Tree]] = {}

    def __call__(self, subject: Subject, *more: Tree) -> Tree:
        """The function of one run, on the device."""
        compiled = self._program(subject.setup, jax.jit)
        return compiled(subject.numbers, subject.variables, subject.inputs, subject.targets, *more)

    def together(self, subjects: Sequence[Subject], width: int) -> list[Tree]:
        """The function of up to `width` runs of one program and the same examples, computed at once; host arrays."""
        compiled = self._program((subjects[0].setup, width), lambda one: jax.jit(jax.vmap(one, (0, 0, None, None))))
        given = [(subject.numbers, subject.variables) for subject in subjects]
        stack = jax.tree.map(lambda *leaves: np.stack(leaves), *given, *[given[0]] * (width - len(given)))
        values = jax.device_get(compiled(*stack, subjects[0].inputs, subjects[0].targets))
        return [jax.tree.map(lambda leaf, lane=lane: leaf[lane], values) for lane in range(len(subjects))]

    def _program(self, key: Any, compile_: Callable[[Callable[..., Tree]], Callable[..., Tree]]) -> Callable[..., Tree]:
        setup = key[0] if isinstance(key, tuple) else key

        def of_run(numbers: Any, variables: Tree, x: Array, y: Array, *more: Tree) -> Tree:
            rest = {name: part for name, part in variables.items() if name != "params"}
            model = Model(setup, runs.with_numbers(setup.run, numbers), rest)
            return self.function(model, variables["params"], x, y, *more)

        if key not in self._compiled:
            self._compiled[key] = compile_(of_run)
        return self._compiled[key]


def over_runs(function: Callable[..., Tree] | Programs, subjects: Sequence[Subject]) -> list[Tree]:
    """`function(model, params, x, y)` of each run and its examples, in their order, as host arrays.

    It is compiled once for all runs that share a program, and computes up to 16 of them at once where their inputs are small.
    """
    programs = function if isinstance(function, Programs) else Programs(function)
    out: dict[int, Tree] = {}
    groups: dict[Any, list[int]] = {}
    for at, subject in enumerate(subjects):
        groups.setdefault((subject.setup, id(subject.examples)), []).append(at)
    for members in groups.values():
        width = max(1, min(len(members), MOST_TOGETHER, TOGETHER // max(1, subjects[members[0]].inputs.size)))
        for first in range(0, len(members), width):
            part = members[first : first + width]
            if width == 1:
                out[part[0]] = jax.device_get(programs(subjects[part[0]]))
            else:
                out |= zip(part, programs.together([subjects[at] for at in part], width), strict=True)
    return [out[at] for at in range(len(subjects))]


def subjects_of(
    opened: Directory, table: pd.DataFrame, epoch: str, split: str, examples: int, data_dir: str | None, trust: bool
) -> list[Subject]:
    """The runs of a table of `lanes.load`, in its order, restored from their checkpoints a pack at a time.

    Raises RequestError as `lanes.restore`, and for a split that the data do not have.
    """
    described = opened.planned_runs().set_index("run_id", drop=False)
    of_id = {name: run_of(opened, described.loc[name], trust) for name in table["run_id"]}
    datasets = Datasets(data_dir)
    data_records.check(opened, [datasets.record(run) for run in of_id.values()])
    making = Subjects(split, examples)
    found: dict[str, Subject] = {}
    for pack, rows in table.groupby("pack", sort=False):
        lanes = [int(lane) for lane in described.loc[rows["run_id"], "lane"]]
        average = runs.resolve(of_id[rows["run_id"].iloc[0]]).average
        stored = variables_of(opened, str(pack), lanes, epoch, average)
        for at, name in enumerate(rows["run_id"]):
            of_lane = jax.tree.map(lambda leaf, at=at: leaf[at], stored)
            whole = {"params": of_lane["params"], **of_lane["rest"]}
            variables = own_variables(described.loc[name], whole)
            found[name] = making.of(name, of_id[name], datasets.of(of_id[name]), variables)
    return [found[name] for name in table["run_id"]]


class Subjects:
    """Makes subjects that share examples and programs where they can.

    Args:
        split: of the examples.
        examples: how many.
    """

    def __init__(self, split: str, examples: int):
        self.split, self.examples = split, examples
        self._shared: dict[int, Examples] = {}
        self._setups: dict[str, Setup] = {}
        self._versions = identity.Descriptions().versions

    def of(self, run_id: str, run: Run, data: Dataset, variables: Variables) -> Subject:
        """The subject of a run of these variables. Raises RequestError if its data have no such split."""
        run = fitted(run, data)
        if id(data) not in self._shared:
            self._shared[id(data)] = Examples(data, self.split, some_of(split_of(data, self.split), self.examples))
        signature = identity.signature(run, NOT_TRAINING, self._versions)
        key = f"{id(data)} {signature}"
        if key not in self._setups:
            self._setups[key] = setup_of(undrawing(run), data, signature)
        return Subject(run_id, run, variables, self._setups[key], self._shared[id(data)])


def split_of(data: Dataset, name: str) -> Split:
    """A split of a data set. Raises RequestError if it does not have it."""
    available = data.splits()
    if name not in available:
        raise RequestError(f"--split is {name}: {data.name} has {', '.join(available)}; choose one of these")
    return available[name]


def some_of(split: Split, examples: int) -> np.ndarray:
    """The rows of `examples` examples of a split, drawn without replacement from a fixed seed, ascending; all if it has fewer."""
    count = len(split)
    if examples >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, examples, replace=False))
