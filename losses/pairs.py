"""Every loss by name, with the targets and output units that it fits."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax

from losses.classification import (
    Focal,
    Hinge,
    binary_cross_entropy,
    negative_log_likelihood,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    zero_one,
)
from losses.distribution import kl_from_logits
from losses.likelihood import GaussianNLL
from losses.outputs import OUTPUT_UNITS
from losses.regression import (
    Huber,
    Lp,
    absolute_error,
    half_mean_squared_error,
    half_squared_error,
    log_cosh,
    mean_absolute_error,
    mean_squared_error,
    root_mean_squared_error,
    squared_error,
)


@runtime_checkable
class Loss(Protocol):
    """Any loss, built in or user-defined."""

    def __call__(self, predictions: jax.Array, targets: jax.Array, /) -> jax.Array:
        """The loss per example, [B] or [B, …], of predictions [B, …] and targets."""
        ...


LOSSES: dict[str, Loss] = {
    "zero_one": zero_one,
    "binary_cross_entropy": binary_cross_entropy,
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": sigmoid_cross_entropy,
    "negative_log_likelihood": negative_log_likelihood,
    "hinge": Hinge(),
    "focal": Focal(),
    "kl_divergence": kl_from_logits,
    "squared_error": squared_error,
    "half_squared_error": half_squared_error,
    "half_mean_squared_error": half_mean_squared_error,
    "mean_squared_error": mean_squared_error,
    "root_mean_squared_error": root_mean_squared_error,
    "absolute_error": absolute_error,
    "mean_absolute_error": mean_absolute_error,
    "lp": Lp(),
    "huber": Huber(),
    "log_cosh": log_cosh,
    "gaussian_nll": GaussianNLL(),
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """The targets and output units that a loss accepts, and its properties.

    Attributes:
      targets: kinds of targets it accepts: "classes" (integer labels or one-hot), "binary" ({0, 1}, one output),
        "multilabel" ({0, 1} per output), "real", "distribution" (rows that sum to 1).
      units: output units (names in OUTPUT_UNITS) that may follow the net; the first is the canonical one.
      from_logits: the loss takes the raw output; the unit is applied only for prediction.
      smoothable: label smoothing makes sense.
      trainable: its gradient is not zero everywhere.
    """

    targets: tuple[str, ...]
    units: tuple[str, ...]
    from_logits: bool = False
    smoothable: bool = False
    trainable: bool = True

    @property
    def threshold(self) -> float:
        """The value of an output, as the loss sees it, above which a {0, 1} label is predicted as 1."""
        return 0.0 if self.from_logits else 0.5


_ANY_UNIT = tuple(OUTPUT_UNITS)  # any unit: the loss is computed after it
_ANY_TARGETS = ("real", "classes", "binary", "multilabel", "distribution")
_REGRESSION = Kind(targets=_ANY_TARGETS, units=_ANY_UNIT)

LOSS_KINDS: dict[str, Kind] = {
    "zero_one": Kind(
        ("classes", "binary"), ("identity", "softmax", "sigmoid", "step"), from_logits=True, trainable=False
    ),
    "binary_cross_entropy": Kind(("binary",), ("sigmoid", "identity"), from_logits=True, smoothable=True),
    "softmax_cross_entropy": Kind(
        ("classes", "distribution"), ("softmax", "identity"), from_logits=True, smoothable=True
    ),
    "sigmoid_cross_entropy": Kind(("multilabel", "binary"), ("sigmoid", "identity"), from_logits=True, smoothable=True),
    "negative_log_likelihood": Kind(
        ("classes", "binary"), ("softmax", "sigmoid", "identity"), from_logits=True, smoothable=True
    ),
    "hinge": Kind(("classes",), ("identity",), from_logits=True),
    "focal": Kind(("classes", "binary"), ("softmax", "sigmoid", "identity"), from_logits=True, smoothable=True),
    "kl_divergence": Kind(("distribution", "classes"), ("softmax", "identity"), from_logits=True, smoothable=True),
    "squared_error": _REGRESSION,
    "half_squared_error": _REGRESSION,
    "half_mean_squared_error": _REGRESSION,
    "mean_squared_error": _REGRESSION,
    "root_mean_squared_error": _REGRESSION,
    "absolute_error": _REGRESSION,
    "mean_absolute_error": _REGRESSION,
    "lp": _REGRESSION,
    "huber": _REGRESSION,
    "log_cosh": _REGRESSION,
    "gaussian_nll": Kind(("real",), ("identity",)),
}


def name_of(loss: str | Any) -> str | None:
    """The table name of a loss given by name, function or description; None for a user-defined loss.

    Raises ValueError for an unknown name.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"loss {loss!r} is unknown: choose one of {', '.join(LOSSES)}")
        return loss
    for name, entry in LOSSES.items():
        if loss is entry or (dataclasses.is_dataclass(entry) and type(loss) is type(entry)):
            return name
    return None


def kind_of(loss: str | Any) -> Kind | None:
    """The Kind of a loss; None for a user-defined loss, whose needs are unknown.

    Raises ValueError for an unknown name.
    """
    name = name_of(loss)
    return None if name is None else LOSS_KINDS[name]


def fits(output: str, loss: str | Any) -> str | None:
    """None if the output unit fits the loss, otherwise the reason, in one line."""
    if output not in OUTPUT_UNITS:
        return f"output={output!r} is unknown: choose one of {', '.join(OUTPUT_UNITS)}"
    kind = kind_of(loss)
    if kind is None or output in kind.units:
        return None
    return (
        f"output={output!r} does not fit loss={name_of(loss)!r}, which takes raw outputs: "
        f"use output={kind.units[0]!r}, or a loss computed after the unit, such as 'squared_error'"
    )


def fits_targets(targets: str, loss: str | Any) -> str | None:
    """None if the loss accepts this kind of targets, otherwise the reason, in one line."""
    kind = kind_of(loss)
    if kind is None or targets in kind.targets:
        return None
    able = [name for name, other in LOSS_KINDS.items() if targets in other.targets and other.trainable]
    return (
        f"loss={name_of(loss)!r} needs targets of kind {' or '.join(kind.targets)}, but the data has {targets}: "
        f"use one of {', '.join(able)}"
    )


def fits_smoothing(loss: str | Any) -> str | None:
    """None if label smoothing fits the loss, otherwise the reason, in one line."""
    kind = kind_of(loss)
    if kind is None or kind.smoothable:
        return None
    able = ", ".join(name for name, other in LOSS_KINDS.items() if other.smoothable)
    return f"label_smoothing does not fit loss={name_of(loss)!r}: it is for cross-entropies ({able}); set it to 0"
