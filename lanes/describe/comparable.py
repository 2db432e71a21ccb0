"""Which runs a metric compares: those in which it is the same function of the same examples and targets.

A loss depends on the run's loss and task with all their numbers (`Huber(delta=1.0)`, `Elbo(beta=2.0)`); accuracy does not.
No metric compares runs on different data. What only training uses is left out: label smoothing, a task's weight of
auxiliary heads, the number of training examples in a metric of the validation split.
"""

import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lanes.data.loading import DATASETS
from lanes.data.tfds import TFDS
from lanes.describe.directions import SPLITS
from lanes.describe.encoding import encode
from lanes.describe.runs import Run
from lanes.describe.versions import Versions
from losses import LOSS_KINDS, LOSSES, METRICS, Kind

# The fields of a run on which the meaning of its metrics depends.
FIELDS = ("data", "loss", "task", "metrics", "valid_fraction", "train_examples", "l1", "l2", "penalties")
OTHERS = "*"  # stands for the metrics of a task that its description does not name
PROPORTIONS = "proportions *"  # names of the metrics that are proportions; no metric can have this name
TRAINING_ONLY = (
    "auxiliary_weight",
    "generator_rate",
    "samples",
)  # numbers of built-in tasks that the loss does not see
LABELS = (
    *("accuracy", "top_k", "label_accuracy", "exact_match"),
    *("auroc", "balanced_accuracy", "macro_f1", "expected_calibration_error"),
)  # the same for logits as for probabilities
OF_TASKS = ("accuracy", "label_accuracy", "exact_match")  # metrics that tasks bring
CLASSIFYING = ("lanes:Classify", "lanes:MultiLabel", "lanes:IntegerCoded", "lanes:NextToken")
PREDICTING = (*CLASSIFYING, "lanes:Regress", "lanes:GaussianLikelihood")
FITTED = ("standardize", "class_weights")  # fields of tasks that make the loss depend on the training split
RECONSTRUCTING = ("lanes:Reconstruct", "lanes:Impute", "lanes:Elbo")

Facets = dict[str, str]  # of a run: what each split and each metric is, as a hash, by name
Origin = Callable[[str], Mapping[str, Any] | None]  # from "DIR:run_id" to the description of that run


def facets(description: Mapping[str, Any], origin: Origin | None = None) -> Facets:
    """What a run measures: a hash for each split's examples and for each metric, equal where the values compare.

    Args:
        description: the run's fields as `encode` describes them, at least those in FIELDS.
        origin: finds the description of the run whose encoder made the data (`Encoded`).
    """
    loss, task = description["loss"], _evaluated(description["task"])
    out = {f"{split} *": _hash(_examples(description, split, origin)) for split in ("train", "valid", "test")}
    is_adversarial = _symbol(task) == "lanes:Adversarial"  # the energy distance is its loss, whatever the run's
    fitted = any(task["fields"].get(name) for name in FITTED) if _symbol(task) in PREDICTING else False
    units = [description[name] for name in ("valid_fraction", "train_examples")] if fitted else []
    out["loss"] = _hash([None if is_adversarial else loss, task, *units])
    out["penalty"] = _hash([*(description[name] for name in ("loss", "task", "l1", "l2", "penalties")), *units])
    out[OTHERS] = _hash([loss, description["task"]])
    if _symbol(task) == "lanes:Elbo":
        terms = {name: value for name, value in task["fields"].items() if name not in ("beta", "mode")}
        for name in ("reconstruction", "divergence", "elbo", "importance_bound"):
            more = description["task"]["fields"].get("samples") if name == "importance_bound" else None
            out[name] = _hash([loss, terms, more])
    seen = _seen(description)
    proportions: dict[str, bool] = {}
    of_task: tuple[str, ...] = OF_TASKS
    if _symbol(task) == "lanes:GaussianLikelihood":
        out |= {name: _hash([name, seen]) for name in ("nll", "coverage_95")}
        of_task, proportions["coverage_95"] = (*OF_TASKS, "mean_squared_error"), True
    for metric in (*of_task, *description["metrics"]):
        name, function = _metric(metric)
        out[name] = _hash([function, seen[:-1] if metric in LABELS else seen])
        fields = metric.get("fields", {}) if isinstance(metric, Mapping) else dataclasses.asdict(METRICS[metric])
        proportions[name] = fields.get("proportion") is True
    out[PROPORTIONS] = " ".join(sorted(name for name, is_one in proportions.items() if is_one))
    return out


def data_key(description: Mapping[str, Any]) -> str:
    """A key that is equal for runs that see the same arrays."""
    return _hash([description[name] for name in ("data", "valid_fraction", "train_examples")])


def facets_of_run(run: Run, origin: Origin | None = None, versions: Versions | None = None) -> Facets:
    """`facets` of a resolved run; `versions` are those of the user's functions that are known already."""
    return facets({name: encode(getattr(run, name), versions) for name in FIELDS}, origin)


def examples_key(column: str) -> str:
    """Under which key the facets of a stored run hold the number of examples of a column's split."""
    return f"{column.split('_')[0]} examples"


def measures(facets: Facets, column: str) -> str:
    """A key that is equal for runs whose values in a column (`valid_loss`) compare."""
    split = next((split for split in SPLITS if column.startswith(split)), "train_")
    name = column.removeprefix(split)
    return f"{facets[f'{split[:-1]} *']} {facets.get(name, facets[OTHERS])}"


def differing(several: Iterable[Facets], column: str) -> list[str]:
    """Words for how runs differ that a column does not compare: data, loss or task, metric."""
    several = list(several)
    split, name = next(((s, column.removeprefix(s)) for s in SPLITS if column.startswith(s)), ("train_", column))
    words = {"loss": "loss or task", "penalty": "loss, task or penalties"}.get(name, f"the function {name}")
    if name not in METRICS and any(name not in one for one in several):
        words = "loss or task"
    parts = [("data", [one[f"{split[:-1]} *"] for one in several])]
    parts.append((words, [one.get(name, one[OTHERS]) for one in several]))
    return [word for word, values in parts if len(set(values)) > 1]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def _symbol(value: Any) -> str:
    return str(value.get("symbol", "")) if isinstance(value, Mapping) else ""


def _evaluated(task: Any) -> Any:
    """A task without what only training uses."""
    if not _symbol(task).startswith("lanes:") or "fields" not in task:
        return task
    fields = {name: value for name, value in task["fields"].items() if name not in TRAINING_ONLY}
    return {**task, "fields": fields}


def _metric(metric: Any) -> tuple[str, Any]:
    """Name and function of an encoded metric; the same function with and without a direction is one."""
    if isinstance(metric, str):
        return metric, encode(METRICS[metric].function) if metric in METRICS else metric
    function = metric
    while _symbol(function) == "losses:Metric":
        function = function["fields"]["function"]
    while isinstance(function, Mapping) and "partial" in function and "symbol" not in function:
        function = function["partial"]
    name = _symbol(function).rpartition(":")[2].rpartition(".")[2]
    return name, metric["fields"]["function"] if _symbol(metric) == "losses:Metric" else metric


def _seen(description: Mapping[str, Any]) -> list[Any]:
    """What metrics compare: with the data set's targets or its inputs, under which corruption; last, whether logits."""
    task = description["task"]
    symbol, fields = _symbol(task), task.get("fields", {}) if isinstance(task, Mapping) else {}
    kind = _kinds().get(_symbol(description["loss"]))
    logits = symbol in CLASSIFYING if kind is None else kind.from_logits
    if symbol in PREDICTING:
        return ["targets", fields.get("corruption"), logits]
    if symbol in RECONSTRUCTING:
        return ["inputs", *(fields.get(name) for name in ("corruption", "rate", "fill")), logits]
    return [task, logits]


@functools.cache
def _kinds() -> dict[str, Kind]:
    """The kinds of the built-in losses, by symbol."""
    return {_symbol(encode(loss)): LOSS_KINDS[name] for name, loss in LOSSES.items()}


def _examples(description: Mapping[str, Any], split: str, origin: Origin | None) -> Any:
    """What makes the examples of a split, as far as its metrics depend on them."""
    data, fraction = description["data"], description["valid_fraction"]
    predicts = _symbol(description["task"]) in PREDICTING
    if predicts:
        data, fraction = _before_encoding(data, fraction, origin)
    if _symbol(data).startswith("lanes:"):
        data = copy.deepcopy(data)
        fields = data.get("fields", {})
        if predicts:
            fields.pop("standardize", None)  # another view of the same examples
            if split != "train":
                fields.pop("label_noise", None)
        if fraction is not None and "valid_fraction" in fields:
            fields["valid_fraction"], fraction = fraction, None
        if split == "test":
            fields.pop("valid_fraction", None)
    more = {"train": [fraction, description["train_examples"]], "valid": [fraction], "test": []}[split]
    return [data, *more]


def _before_encoding(data: Any, fraction: Any, origin: Origin | None) -> tuple[Any, Any]:
    """The data that an encoder encoded: the same examples as another run's, if both predict the targets."""
    seen: set[str] = set()  # a crafted directory can have runs whose data are the codes of each other
    while _symbol(data) == "lanes:Encoded" and (inside := data["fields"])["source"] not in seen:
        seen.add(inside["source"])
        source = origin(inside["source"]) if origin is not None else None
        if inside["data"] is None and source is None:
            break
        fraction = inside["valid_fraction"] if fraction is None else fraction
        if fraction is None and source is not None:
            fraction = source["valid_fraction"]
        data = source["data"] if inside["data"] is None and source is not None else inside["data"]
    if isinstance(data, str):
        data = encode(DATASETS.get(data) or TFDS(data))
    return data, fraction
