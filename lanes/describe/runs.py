"""A run: the full description of one training run. Its identity is a hash of the resolved description.

Each field is declared once as **static** (it changes the compiled program) or **traced** (a number that the program takes
as an input). The strength of a regularizer is **switched**: whether it is on is static, its value is traced.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from lanes.data.loading import DATASETS
from lanes.data.tfds import TFDS
from lanes.describe import columns, descriptions
from lanes.describe.blanks import Blank
from lanes.errors import RequestError
from lanes.recipe import optimizers_own, schedules_own, strengths
from lanes.recipe.augmentations import AUGMENTATIONS
from lanes.recipe.averages import AVERAGES
from lanes.recipe.optimizers import OPTIMIZERS
from lanes.recipe.rules import RULES
from lanes.recipe.schedules import SCHEDULES
from lanes.recipe.tasks import TASKS
from lanes.recipe.tasks_comparing import metrics_of
from losses import LOSSES, METRICS, OUTPUT_UNITS, PENALTIES, Metric
from losses.metrics import name_of_metric
from nets import NETS, bridge
from nets.activations import ACTIVATIONS
from nets.initializers import INITIALIZERS
from nets.layers import is_off as is_zero


def static(default: Any = dataclasses.MISSING, table: Mapping[str, Any] | None = None) -> Any:
    """A field that changes the program."""
    return dataclasses.field(default=default, metadata={"how": "static", "table": table})


def later(default: Any, table: Mapping[str, Any] | None = None) -> Any:
    """A static field that earlier versions did not have: at its default it is no part of a run's identity."""
    return dataclasses.field(default=default, metadata={"how": "static", "table": table, "later": True})


def traced(default: Any = dataclasses.MISSING) -> Any:
    """A field whose number is an input of the program."""
    return dataclasses.field(default=default, metadata={"how": "traced"})


def switched(default: float | None = 0.0, neutral: float = 0.0) -> Any:
    """A field that is off, and static, at its default of 0 or None; any other number is traced.

    In a program that runs with the field on and off share, it is traced for all, and `neutral` for those with it off.
    """
    return dataclasses.field(default=default, metadata={"how": "switched", "neutral": neutral})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """The full description of one training run; names stand for entries of tables.

    Attributes:
        data: data set, as a name, a description (`Spirals(n=500)`) or a function that returns arrays.
        net: a Flax module with its own fields (`MLP(widths=(64, 64))`); the engine fills `outputs`, `activation`,
            `kernel_init` and `dropout`; or `nets.from_nnx(…)`, `nets.from_equinox(…)`.
        output: output unit; None means the one that fits the loss.
        outputs: number of the net's outputs, for a loss of your own that needs others than the task; None is the task's.
        activation: nonlinearity, as a name, function or description; called once per layer.
        initializer: initializer of the kernels.
        bias_initializer: initializer of the biases, called with their shape, such as "normal" or `Uniform(0.1)`; None starts
            them as the net does, at its own `bias`.
        init_scale: factor on the initializer's draws.
        task: how a net's outputs and a batch make a loss; None means the default for the data set.
        loss: per-example loss.
        rule: how a step finds its direction: by the gradient or another learning rule.
        optimizer: how the direction becomes an update; also any Optax factory with an argument `learning_rate`.
        learning_rate: step size, before the factor of the schedule.
        momentum: overrides the momentum of optimizers that have one; None means their default.
        schedule: factor on the learning rate over the course of the run; also any function (step, horizon) -> factor.
        batch_size: examples per step; an epoch is floor(n / batch_size) steps over a fresh permutation.
        epochs: length of the run; ignored if `steps` is set.
        steps: length in steps; None means `epochs`.
        eval_every: epochs between evaluations on the validation split; the last epoch is always evaluated.
        seed: seed of the initialization, the order of examples, dropout and noise.
        l1, l2: strength λ of the penalty λ Σ|w| or λ Σ w² over the kernels.
        weight_decay: decoupled weight decay, θ ← θ - η (direction + weight_decay θ), of kernels only.
        dropout: drop rate p in [0, 1) of the net's dropout layers; or `GaussianDropout(p)`, `AlphaDropout(p)`. As other
            strengths, it may be a `Scheduled`, which follows a schedule.
        input_noise: standard deviation of Gaussian noise on standardized inputs.
        label_smoothing: α of the smoothed targets (1 - α) y + α / K.
        clip: largest global norm of the gradient; None is off.
        penalties: further penalties, as descriptions (`Contractive(1e-3)`).
        augment: augmentations of the training inputs, in order.
        average: average of the parameters along the run, evaluated in their place (`EMA(0.99)`).
        monitor: metric of the validation split that decides about the best epoch, `patience`, plateau schedules and, by
            default, halving and rankings, such as "valid_auroc"; None is the validation loss.
        patience: epochs without improvement of the monitored metric by `min_delta` before the run stops; None is off.
        min_delta: smallest improvement that counts.
        train_examples: how many examples of the shuffled, stratified training split to use; None is all.
        valid_fraction: fraction of the training split held out for validation; None is the data set's own.
        metrics: metrics besides those of the task: names, functions (prediction [B, …], target) -> [B] or, to rank runs,
            such functions with a direction: `Metric(brier, higher_is_better=False)`; over a whole split: `over="set"`.
        precision: "float32" or "bfloat16", which computes the net in bfloat16; parameters and losses stay float32.
        matmul_precision: precision of float32 products: "default", "high" or "highest" (GPUs and TPUs round by default).
        init_from: "DIR:run_id" or "DIR:run_id:subtree": the run whose best parameters to start from.
    """

    data: Any = static("digits", DATASETS)
    net: Any = static("mlp", NETS)
    output: Any = static(None, OUTPUT_UNITS)
    outputs: int | None = later(None)
    activation: Any = static("relu", ACTIVATIONS)
    initializer: Any = static("he_normal", INITIALIZERS)
    bias_initializer: Any = later(None, INITIALIZERS)
    init_scale: float = traced(1.0)
    task: Any = static(None, TASKS)
    loss: Any = static("softmax_cross_entropy", LOSSES)
    rule: Any = static("gradient", RULES)
    optimizer: Any = static("adam", OPTIMIZERS)
    learning_rate: float = traced(1e-3)
    momentum: float | None = switched(None)
    schedule: Any = static("constant", SCHEDULES)
    batch_size: int = static(32)
    epochs: int = traced(20)
    steps: int | None = static(None)
    eval_every: int = static(1)
    seed: int = traced(0)
    l1: float = switched()
    l2: float = switched()
    weight_decay: float = switched()
    dropout: float = switched()
    input_noise: float = switched()
    label_smoothing: float = switched()
    clip: float | None = switched(None, neutral=math.inf)
    penalties: tuple[Any, ...] = static((), PENALTIES)
    augment: tuple[Any, ...] = static((), AUGMENTATIONS)
    average: Any = static(None, AVERAGES)
    monitor: str | None = later(None)
    patience: int | None = switched(None, neutral=2**30)
    min_delta: float = traced(0.0)
    train_examples: int | None = static(None)
    valid_fraction: float | None = static(None)
    metrics: tuple[Any, ...] = static((), METRICS)
    precision: str = static("float32")
    matmul_precision: str = static("default")
    init_from: str | None = dataclasses.field(default=None, metadata={"how": "static", "replicate": "run"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class SharedRun(Run):
    """A run as a program sees it that it shares with runs in which other switched fields are on.

    Attributes:
        neutral: switched fields that are off in some runs of the program; they are traced, and neutral where they are off.
        batched: whether runs that are computed at once may have different activations and costly fields (`Sharing`).
        on: by field, whether it is on in any lane of the group that is computed; set inside the program.
    """

    neutral: tuple[str, ...] = ()
    batched: bool = False
    on: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)


FIELDS = {field.name: field for field in dataclasses.fields(Run)}
TABLES: dict[str, Mapping[str, Any]] = {
    name: f.metadata["table"] for name, f in FIELDS.items() if f.metadata.get("table")
}
SWITCHED = tuple(name for name, field in FIELDS.items() if field.metadata["how"] == "switched")
TRACED = tuple(name for name, field in FIELDS.items() if field.metadata["how"] == "traced")
SEVERAL = ("penalties", "augment")
# Fields in which a number may be a `Scheduled`, which follows a schedule.
FOLLOWING = (*(name for name in SWITCHED if name != "patience"), *SEVERAL, "task", "optimizer")
# Why a value of another library cannot stand in a field as it is; None where it can.
REFUSALS: dict[str, Callable[[Any], str | None]] = {
    "net": bridge.refusal,
    "optimizer": optimizers_own.refusal,
    "schedule": schedules_own.refusal,
}


def resolve(run: Run) -> Run:
    """The run with every name replaced by its table's entry, and its numbers plain (`descriptions.plain`).

    Raises RequestError for a name that is not in its table, and for functions without an identity.
    """
    changed: dict[str, Any] = {}
    for name, table in TABLES.items():
        value = getattr(run, name)
        if name == "metrics":
            for metric in value if isinstance(value, tuple) else ():
                if not isinstance(metric, str):
                    function = metric.function if isinstance(metric, Metric) else metric
                    descriptions.check_identity(function, "metric")
            continue
        if value is None:
            continue
        reason = REFUSALS[name](value) if name in REFUSALS else None
        if reason is not None:
            raise RequestError(reason)
        if name == "data" and isinstance(value, str):
            changed[name] = DATASETS.get(value) or TFDS(value)  # any other name may be of TFDS; loading checks it
        elif name in SEVERAL:
            several = value if isinstance(value, (tuple, list)) else (value,)
            changed[name] = tuple(descriptions.resolve(item, table, name) for item in several)
        else:
            changed[name] = descriptions.resolve(value, table, name)
    for name in FOLLOWING:
        value = changed.get(name, getattr(run, name))
        for scheduled in strengths.scheduled_in(value):
            if isinstance(scheduled.schedule, str):
                descriptions.resolve(scheduled.schedule, SCHEDULES, f"schedule of {name}")
            else:
                descriptions.check_identity(scheduled.schedule, f"schedule of {name}")
        changed[name] = strengths.named(value)
    hints = descriptions.type_hints(Run)
    values = {name: changed.get(name, getattr(run, name)) for name in FIELDS}
    return dataclasses.replace(run, **{name: descriptions.plain(value, hints[name]) for name, value in values.items()})


def flat(run: Run) -> Run:
    """The run with a plain number in place of each description that stands for one: `Scheduled`, a kind of dropout."""
    changed = {name: strengths.at_full(getattr(run, name)) for name in FOLLOWING}
    changed |= {name: strengths.number_of(getattr(run, name)) for name in SWITCHED}
    return dataclasses.replace(run, **changed)


def row(run: Run) -> dict[str, Any]:
    """The run as one row of a table: a column per field and, dotted, per parameter of a description."""
    resolved = resolve(run)
    return {column: value for name in FIELDS for column, value in columns_of(name, getattr(resolved, name)).items()}


def columns_of(name: str, value: Any) -> dict[str, Any]:
    """The columns of one field: one under its name and a dotted one per parameter."""
    if name in SEVERAL:
        return columns.columns_of_several(name, value, TABLES[name])
    if name == "metrics":
        return columns.columns_of_metrics(name, value)
    if name in SWITCHED and descriptions.is_description(value):
        return columns.columns_of_number(name, value)
    return columns.columns(name, value, TABLES.get(name))


def set_field(run: Run, path: str, value: Any) -> Run:
    """The run with one field, or one parameter inside a description (`"net.widths"`), changed.

    Raises RequestError for an unknown field, suggesting the nearest.
    """
    head, _, rest = path.partition(".")
    if head not in FIELDS:
        raise descriptions.unknown("field of Run", head, FIELDS)
    if rest:
        inner = getattr(run, head)
        if isinstance(inner, str) and head in TABLES:
            inner = descriptions.resolve(inner, TABLES[head], head)
        value = descriptions.replace_path(inner, rest, value)
    return dataclasses.replace(run, **{head: value})


def parse_field(run: Run, path: str, text: str) -> Any:
    """A command line's text for a field of this run, converted to the type of the field.

    Raises RequestError for an unknown field, or text of another type.
    """
    head, _, rest = path.partition(".")
    if head not in FIELDS:
        raise descriptions.unknown("field of Run", head, FIELDS)
    owner: Any = run
    if rest:
        *inner, last = path.split(".")
        owner = functools.reduce(descriptions.item_of, inner[1:], getattr(resolve(run), head))
        head = last
        if descriptions.is_function(owner):
            return descriptions.parse_argument(owner, head, text, path)
        if not descriptions.is_description(owner) or head not in descriptions.fields_of(owner):
            fields = descriptions.fields_of(owner) if descriptions.is_description(owner) else ()
            raise descriptions.unknown(f"field of {path.rsplit('.', 1)[0]}", last, fields)
    return descriptions.parse_text(text, descriptions.type_hints(owner.__class__).get(head, Any), path)


def metric_names(run: Run) -> tuple[str, ...]:
    """Names of everything measured: the loss, the task's metrics (none for `outputs` of one's own), the run's own."""
    return ("loss", *dict.fromkeys((*metrics_of(run.task, run), *map(name_of_metric, run.metrics))))


# ---- static and traced -------------------------------------------------------------------------------------------


def is_off(run: Run, name: str) -> bool:
    """Whether a switched field has its default, 0 or None, as a plain Python value (tracers and blanks are on).

    A field that may be neutral in a shared program is on: it is part of the program.
    """
    return off(name, getattr(run, name)) and not may_be_neutral(run, name)


def may_be_neutral(run: Run, name: str) -> bool:
    """Whether some runs of a run's program have a switched field off, which is traced and neutral there."""
    return isinstance(run, SharedRun) and name in run.neutral


def is_any_on(run: Run, name: str) -> Any:
    """Whether a field that may be neutral is on in any lane of the group, one answer for all, or outside a group in the run."""
    on = run.on if isinstance(run, SharedRun) else {}
    return on[name] if name in on else is_not_neutral(name, getattr(run, name))


def is_not_neutral(name: str, value: Any) -> Any:
    """Whether the traced value of a switched field changes anything."""
    return value != FIELDS[name].metadata["neutral"]


def off(name: str, value: Any) -> bool:
    """`is_off` for a value of the field `name`."""
    return value is None or (FIELDS[name].default is not None and is_zero(value))


def strength(run: Run, name: str) -> Any:
    """The value of a switched field; None if it is off."""
    return None if is_off(run, name) else getattr(run, name)


def numbers(run: Run) -> dict[str, float | int]:
    """Every traced number of a resolved run by path: traced fields, switched fields that are on, floats of descriptions."""
    out: dict[str, float | int] = {name: getattr(run, name) for name in TRACED}
    for name in SWITCHED:
        if not is_off(run, name):
            value = getattr(run, name)
            out |= descriptions.traced_numbers(name, value) if descriptions.is_description(value) else {name: value}
    for name in TABLES:
        if name != "data":  # data sets are made on the host: all numbers in their descriptions are static
            out |= descriptions.traced_numbers(name, getattr(run, name))
    return out


def with_numbers(run: Run, values: Mapping[str, Any]) -> Run:
    """The resolved run with `values` (tracers, inside a program) in place of its traced numbers, or of their blanks."""
    changed: dict[str, Any] = {}
    for name in FIELDS:
        value = getattr(run, name)
        if name in values:
            changed[name] = values[name]
        elif (name in TABLES and name != "data") or (name in SWITCHED and descriptions.is_description(value)):
            changed[name] = descriptions.fill(name, value, values)
    return dataclasses.replace(run, **changed)


def blanked(run: Run) -> Run:
    """The resolved run with a blank in place of each traced number: equal for runs that differ only in these numbers."""
    return with_numbers(run, {path: Blank(path) for path in numbers(run)})
