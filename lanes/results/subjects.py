"""Trained runs as a diagnosis sees them: the net as a function of parameters and examples, and some examples of a split."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from lanes.data.dataset import Dataset, Split
from lanes.describe.outputs import fitted
from lanes.describe.runs import Run
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.planned import setup_of
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, apply, standardize, stream, weight_penalty
from lanes.storage import data_records
from lanes.storage.directory import Directory
from lanes.storage.trained import Variables, run_of, variables_of
from nets import Outputs

Array = jax.Array
SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A trained run, and the examples that it is diagnosed on.

    Attributes:
        run_id: the run's identity.
        run: as its program sees it.
        data: the data set that it was trained on.
        variables: `params` and the net's other variables, host arrays.
        split: name of the split of the examples.
        rows: of the examples in that split, ascending.
    """

    run_id: str
    run: Run
    data: Dataset
    variables: Variables
    split: str
    rows: np.ndarray

    @functools.cached_property
    def setup(self) -> Setup:
        """What is static about the run."""
        return setup_of(self.run, self.data)

    @functools.cached_property
    def raw(self) -> tuple[np.ndarray, np.ndarray]:
        """The examples x [N, …] and y [N, …], as the data set holds them."""
        split = self.data.splits()[self.split].take(self.rows)
        return np.asarray(split.x), np.asarray(split.y)

    @functools.cached_property
    def inputs(self) -> Array:
        """The examples' inputs [N, …] as the net sees them: standardized, or tokens."""
        return self.standardized(self.raw[0])

    @functools.cached_property
    def targets(self) -> Array:
        """The examples' targets [N, …]."""
        return jnp.asarray(self.raw[1])

    @property
    def params(self) -> Any:
        """The parameters."""
        return self.variables["params"]

    def standardized(self, x: Any) -> Array:
        """Inputs [N, …], held as the data set holds its own, as the net sees them."""
        return standardize(jnp.asarray(x), jnp.asarray(self.data.offset), jnp.asarray(self.data.scale))

    def forward(self, params: Any, x: Array) -> Outputs:
        """What the net makes of inputs as it sees them, [B, …], in evaluation mode. To be traced, differentiated, compiled."""
        return self.forward_by(self.run, params, x)

    def forward_by(self, run: Run, params: Any, x: Array) -> Outputs:
        """`forward` of the run with another activation, whose net has the same parameters."""
        rest = {name: part for name, part in self.variables.items() if name != "params"}
        keys = {"sample": stream(self.run.seed, "sample")}
        with jax.default_matmul_precision(self.run.matmul_precision):
            return apply(self.setup, run, params, rest, x, train=False, keys=keys)[0]

    def loss(self, params: Any, x: Array, y: Array) -> Array:
        """What training lowers, on examples x [B, …] as the net sees them and y [B, …]: the data term's mean plus the weights'
        penalties, in evaluation mode: without dropout, noise and augmentation, with running batch statistics.

        Penalties on activations, codes and encoders are left out. Corruptions and samples are drawn from fixed keys.

        Raises RequestError for a task whose players have a loss each.
        """
        run = at_full(self.run)
        if run.task.players:
            raise RequestError(
                f"run {self.run_id}: task {type(run.task).__name__} has a loss for each of its players, and no single one"
            )
        view = run.task.view(x, y, jax.random.fold_in(jax.random.key(0), 0))
        with jax.default_matmul_precision(run.matmul_precision):
            data = jnp.mean(run.task.losses(run, self.forward(params, view.inputs), view, train=True))
            return data + weight_penalty(run, params)


def subjects_of(
    opened: Directory, table: pd.DataFrame, epoch: str, split: str, examples: int, data_dir: str | None, trust: bool
) -> list[Subject]:
    """The runs of a table of `lanes.load`, in its order, restored from their checkpoints a pack at a time.

    Raises RequestError as `lanes.restore`, and for a split that the data do not have.
    """
    described = opened.planned_runs().set_index("run_id", drop=False)
    runs = {name: run_of(opened, described.loc[name], trust) for name in table["run_id"]}
    datasets = Datasets(data_dir)
    data_records.check(opened, [datasets.record(run) for run in runs.values()])
    found: dict[str, Subject] = {}
    for pack, rows in table.groupby("pack", sort=False):
        members = [fitted(runs[name], datasets.of(runs[name])) for name in rows["run_id"]]
        lanes = [int(lane) for lane in described.loc[rows["run_id"], "lane"]]
        stacked = variables_of(opened, str(pack), lanes, epoch, members[0].average)
        for at, (name, run) in enumerate(zip(rows["run_id"], members, strict=True)):
            of_lane = jax.tree.map(lambda leaf, at=at: leaf[at], stacked)
            data = datasets.of(run)
            chosen = some_of(split_of(data, split), examples)
            found[name] = Subject(name, run, data, {"params": of_lane["params"], **of_lane["rest"]}, split, chosen)
    return [found[name] for name in table["run_id"]]


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
