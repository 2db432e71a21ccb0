"""Runs to train: each with its identity, its data, and the signature of its program."""

import dataclasses
import inspect
from collections.abc import Iterable

from lanes.data.loading import Dataset
from lanes.describe import identity, runs
from lanes.describe.runs import Run
from lanes.plan.datasets import DataRecord, Datasets
from lanes.program.initialization import INITIAL, undrawn
from lanes.program.sharing import Sharing
from lanes.program.step import Setup
from nets.activations import ACTIVATIONS, Learned, Widening
from nets.initializers_transforming import Transforming

NOT_TRAINING = ("initializer", "bias_initializer", "init_from")  # fields that training programs do not depend on


@dataclasses.dataclass(frozen=True)
class Planned:
    """A run to train.

    Attributes:
        run: resolved.
        run_id: its identity.
        compiled: the run as the training program sees it, where the activation may be an index and fields neutral.
        signature: what the training program is compiled for.
        setup: what is static about the run; equal for runs of equal signature.
        data: which arrays it is trained on.
        descriptions: of the runs planned together, made before any of their functions is called.
        splits: names of the splits of its data set.
        sharing: what the runs of its program may differ in (`lanes.plan.sharing`).
        family: equal for runs that differ only in plain numbers of their own fields (`lanes.plan.families`); None if unknown.
    """

    run: Run
    run_id: str
    compiled: Run
    signature: str
    setup: Setup
    data: DataRecord
    descriptions: identity.Descriptions = dataclasses.field(compare=False, repr=False)
    splits: tuple[str, ...]
    sharing: Sharing = Sharing()
    family: int | None = None


def plan_runs(resolved: Iterable[Run], datasets: Datasets) -> list[Planned]:
    """Each distinct run with its identity and the signature of a program that it shares with runs of other numbers only."""
    out: dict[str, Planned] = {}
    descriptions = datasets.descriptions
    for run in resolved:
        data, record = datasets.of(run), datasets.record(run)
        run_id = descriptions.run_id(run)
        if run_id not in out:
            signature = identity.signature(run, NOT_TRAINING, descriptions.versions)
            setup = setup_of(undrawing(run), data, signature)
            about = record, descriptions, tuple(data.splits())
            out[run_id] = Planned(run, run_id, run, signature, setup, *about)
    return list(out.values())


def setup_of(run: Run, data: Dataset, signature: str = "") -> Setup:
    """What is static about a run."""
    features = tuple(data.train.x.shape[1:])
    outputs = run.task.outputs(data.outputs, features) if run.outputs is None else run.outputs
    classes = data.outputs if data.task == "classes" else None
    return Setup(run, outputs, features, len(data.train), data.vocabulary_size, signature, classes, data.padded)


def undrawing(run: Run) -> Run:
    """The run in training, which draws no variables, so that runs of several initializers share a program."""
    return dataclasses.replace(run, initializer=undrawn, bias_initializer=None, init_from=None)


def initializing(run: Run) -> Run:
    """The run as its initializing program sees it: without its activation, unless initialization depends on it."""
    activation, initializer = run.activation, run.initializer
    # Plain functions match no protocol; skipping them saves 40 µs a run, the time of isinstance on Python 3.11.
    depends = not inspect.isfunction(activation) and isinstance(activation, (Learned, Widening))
    depends = depends or (not inspect.isfunction(initializer) and isinstance(initializer, Transforming))
    return run if depends else dataclasses.replace(run, activation=ACTIVATIONS["identity"])


def initializer_key(member: Planned, without_initializer: bool = False, without_widths: bool = False) -> str:
    """A key that is equal for runs whose initial variables are drawn by the same function.

    Args:
        member: the run.
        without_initializer: but for the initializer.
        without_widths: but for the widths of its net, a perceptron.
    """
    run = initializing(member.run)
    if without_widths:
        run = dataclasses.replace(run, net=run.net.clone(widths=(0,) * len(run.net.widths)))
    initial = (*INITIAL, "data", "train_examples", "valid_fraction")
    ignore = tuple(
        name for name in runs.FIELDS if name not in initial or (without_initializer and name == "initializer")
    )
    return f"{identity.signature(run, ignore, member.descriptions.versions)} {member.setup.outputs}"
