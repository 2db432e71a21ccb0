"""Inputs changed before an evaluation: by an augmentation at a stated strength, or by an attack on the run's own loss."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from lanes.analysis import attacks
from lanes.describe.runs import Run
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, apply, standardize
from lanes.recipe.augmentations_noise import MixesTargets
from lanes.recipe.tasks_comparing import threshold
from losses import one_hot
from nets import Outputs

Array = jax.Array
LEAST_LIKELY = "least_likely"
ATTACKS = ("fgsm", "pgd")


class Victim(NamedTuple):
    """A run's net and loss on a batch, in evaluation mode.

    Attributes:
        outputs: of the net, for standardized inputs [B, …].
        losses: (outputs, y) -> the task's loss of each example [B].
        threshold: prediction above which the label of a single output is 1.
    """

    outputs: Callable[[Array], Outputs]
    losses: Callable[[Outputs, Array], Array]
    threshold: float


def victim_of(
    setup: Setup,
    run: Run,
    variables: Any,
    split: tuple[Array, Array, Array, Array],
    drawn: Array,
    keys: Mapping[str, Array],
) -> Victim:
    """A run's net and loss on a block of examples.

    Args:
        setup, run, variables: of the lane.
        split: inputs and targets of the block, offset and scale.
        drawn: key of the task's own corruption.
        keys: of the net's streams.
    """
    x, y, *scaling = split

    def outputs(seen: Array) -> Outputs:
        inputs = run.task.view(seen, y, drawn).inputs
        return apply(setup, run, variables["params"], variables["rest"], inputs, train=False, keys=keys)[0]

    def losses(outputs: Outputs, y: Array) -> Array:
        return run.task.losses(at_full(run), outputs, run.task.view(standardize(x, *scaling), y, drawn), train=False)

    return Victim(outputs, losses, threshold(run))


class Changed(NamedTuple):
    """A changed batch.

    Attributes:
        seen: standardized inputs [B, …].
        targets: of the examples [B, …].
        aimed: the targets that a targeted attack is to get; otherwise those of the examples.
        still: which examples an attack cannot move [B].
    """

    seen: Array
    targets: Array
    aimed: Array
    still: Array


class Perturbation(Protocol):
    """What changes a batch."""

    def __call__(
        self,
        victim: Victim,
        batch: tuple[Array, Array],
        scaling: tuple[Array, Array],
        key: Array,
        amounts: Mapping[str, Array],
    ) -> Changed:
        """The changed batch.

        Args:
            victim: the net.
            batch: inputs as the data set holds them, and targets.
            scaling: offset and scale of the inputs.
            key: of all draws.
            amounts: traced strengths.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Corrupted:
    """Inputs changed by an augmentation, on the scale of training: standardized.

    Of examples that are mixed, the target is that of the largest share.

    Attributes:
        augmentation: its traced numbers blanked.
        fields: their names.
        targets: what the data set's targets are, as `Dataset.task`.
        classes: number of outputs.
    """

    augmentation: Any
    fields: tuple[str, ...]
    targets: str
    classes: int

    @property
    def mixes(self) -> bool:
        """Whether it mixes examples and their targets."""
        return isinstance(self.augmentation, MixesTargets) and self.augmentation.mixes_targets

    def __call__(
        self,
        victim: Victim,
        batch: tuple[Array, Array],
        scaling: tuple[Array, Array],
        key: Array,
        amounts: Mapping[str, Array],
    ) -> Changed:
        """The changed batch."""
        del victim
        x, y = batch
        augmentation = self.augmentation
        if self.fields:
            augmentation = dataclasses.replace(augmentation, **{name: amounts[name] for name in self.fields})
        still = jnp.zeros(x.shape[0], bool)
        seen = standardize(x, *scaling)
        if not self.mixes:
            seen, y = augmentation(key, seen, y)
            return Changed(seen, y, y, still)
        if self.targets == "classes":
            seen, shares = augmentation(key, seen, one_hot(y, self.classes))
            largest = jnp.argmax(shares, axis=-1).astype(y.dtype)
            return Changed(seen, largest, largest, still)
        seen, mixed = augmentation(key, seen, y)
        whole = self.targets in ("binary", "multilabel")
        mixed = (mixed > 0.5).astype(y.dtype) if whole else mixed
        return Changed(seen, mixed, mixed, still)


@dataclasses.dataclass(frozen=True)
class Attacked:
    """Inputs changed by an attack, in the units of the data set, on the loss of each lane's own net.

    Attributes:
        kind: one of ATTACKS.
        steps: of "pgd".
        aim: "" raises the loss of the examples' targets; "least_likely" lowers that of the class that each net finds least
            likely, "class" that of the class `amounts["target"]`.
    """

    kind: str
    steps: int = 1
    aim: str = ""

    def __call__(
        self,
        victim: Victim,
        batch: tuple[Array, Array],
        scaling: tuple[Array, Array],
        key: Array,
        amounts: Mapping[str, Array],
    ) -> Changed:
        """The changed batch."""
        x, y = batch[0].astype(jnp.float32), batch[1]

        def net(at: Array) -> Outputs:
            return victim.outputs(standardize(at, *scaling))

        aimed = self._aimed(victim, net(x).prediction, y, amounts) if self.aim else y
        loss = attacks.towards(victim.losses) if self.aim else victim.losses
        ball = attacks.Ball(amounts["epsilon"], amounts["low"], amounts["high"])
        if self.kind == "fgsm":
            moved = attacks.fgsm(net, loss, x, aimed, ball)
        else:
            size = amounts["step_size"]
            moved = attacks.pgd(net, loss, x, aimed, ball, step_size=size, key=key, steps=self.steps)
        flat = attacks.direction(net, loss, x, aimed).reshape(x.shape[0], -1)
        return Changed(standardize(moved, *scaling), y, aimed, jnp.all(flat == 0, axis=1))

    def _aimed(self, victim: Victim, prediction: Array, y: Array, amounts: Mapping[str, Array]) -> Array:
        if self.aim != LEAST_LIKELY:
            return jnp.broadcast_to(amounts["target"].astype(y.dtype), y.shape)
        if prediction.shape[-1] == 1:
            return (prediction <= victim.threshold).astype(y.dtype).reshape(y.shape)
        return jnp.argmin(prediction, axis=-1).astype(y.dtype)
