"""Runs to train: each with its identity, its data, and the signature of its program."""

import dataclasses
import inspect
from collections.abc import Callable, Iterable

from lanes.data.loading import Dataset
from lanes.describe import identity, runs
from lanes.describe.runs import Run
from lanes.plan.datasets import DataRecord, Datasets
from lanes.program.initialization import INITIAL, undrawn
from lanes.program.shared_activation import by_name, shared
from lanes.program.step import Setup
from nets.activations import ACTIVATIONS, Learned, Widening
from nets.initializers_transforming import Transforming


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run to train.

    Attributes:
        run: resolved.
        run_id: its identity.
        compiled: the run as the training program sees it, where the activation may be an index.
        signature: what the training program is compiled for.
        setup: what is static about the run; equal for runs of equal signature.
        data: which arrays it is trained on.
        descriptions: of the runs planned together, made before any of their functions is called.
        splits: names of the splits of its data set.
    """

    run: Run
    run_id: str
    compiled: Run
    signature: str
    setup: Setup
    data: DataRecord
    descriptions: identity.Descriptions = dataclasses.field(compare=False, repr=False)
    splits: tuple[str, ...]


def plan_runs(resolved: Iterable[Run], datasets: Datasets, share: Callable[[Run], bool]) -> list[Planned]:
    """Each distinct run with its identity and signature.

    Args:
        resolved: the runs.
        datasets: where their data come from.
        share: whether a run's program takes its activation as an index.
    """
    out: dict[str, Planned] = {}
    descriptions = datasets.descriptions
    for run in resolved:
        data, record = datasets.of(run), datasets.record(run)
        run_id = descriptions.run_id(run)
        if run_id not in out:
            compiled = shared(run) if share(run) else run
            ignore = ("initializer", "init_from")
            signature = identity.signature(by_name(compiled), ignore, descriptions.versions)
            setup = _setup(compiled, data, signature)
            about = record, descriptions, tuple(data.splits())
            out[run_id] = Planned(run, run_id, compiled, signature, setup, *about)
    return list(out.values())


def _setup(compiled: Run, data: Dataset, signature: str) -> Setup:
    """What is static about a run in training. Training draws no variables, so runs of several initializers share it."""
    features = tuple(data.train.x.shape[1:])
    run = dataclasses.replace(compiled, initializer=undrawn, init_from=None)
    outputs = compiled.task.outputs(data.outputs, features)
    return Setup(run, outputs, features, len(data.train), data.vocabulary_size, signature)


def initializing(run: Run) -> Run:
    """The run as its initializing program sees it: without its activation, unless initialization depends on it."""
    activation, initializer = run.activation, run.initializer
    # Plain functions match no protocol; skipping them saves 40 µs a run, the time of isinstance on Python 3.11.
    depends = not inspect.isfunction(activation) and isinstance(activation, (Learned, Widening))
    depends = depends or (not inspect.isfunction(initializer) and isinstance(initializer, Transforming))
    return run if depends else dataclasses.replace(run, activation=ACTIVATIONS["identity"])


def initializer_key(member: Planned) -> str:
    """A key that is equal for runs whose initial variables are drawn by the same program."""
    run = initializing(member.run)
    initial = (*INITIAL, "data", "train_examples", "valid_fraction")
    ignore = tuple(name for name in runs.FIELDS if name not in initial)
    return identity.signature(run, ignore, member.descriptions.versions)
