"""A lane: the state of one run inside a compiled program, and its update at the end of each epoch.

All of it is scalar arithmetic for a single run; the program maps it over lanes.
"""

import enum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lanes.describe import directions, runs
from lanes.describe.runs import Run
from lanes.program import early_stopping
from lanes.program.scheduled import at_step
from lanes.program.step import Setup, Trained, evaluated_params, transformation
from lanes.recipe import schedules
from lanes.recipe.schedules_own import schedule_of

Array = jax.Array
Tree = Any


class Status(enum.IntEnum):
    """What a lane is doing, by the number stored in programs and checkpoints."""

    RUNNING = 0
    DONE = 1
    STOPPED_EARLY = 2
    DIVERGED = 3
    EMPTY = 4  # padding
    PRUNED = 5  # ended by a halving

    @property
    def label(self) -> str:
        """The name in tables of results."""
        return self.name.lower()


class Lane(NamedTuple):
    """State of one run between epochs.

    Attributes:
        trained: parameters, batch statistics, optimizer and average states.
        best: `{"params", "rest"}` at the end of the best epoch.
        best_loss, best_epoch: the best monitored value (`monitored`) and its epoch, counted from 1 (0: none yet).
        patience: early stopping.
        plateau: the plateau schedule.
        status: a `Status` as a number.
        epochs: whole epochs kept.
        diverged_step: the first step, counted from 1, whose loss or update was not finite (0: none).
    """

    trained: Trained
    best: Tree
    best_loss: Array
    best_epoch: Array
    patience: early_stopping.Patience
    plateau: schedules.Plateau
    status: Array
    epochs: Array
    diverged_step: Array


class Measured(NamedTuple):
    """Measurements of an epoch at its end: mean batch loss and penalty, the first bad step, validation metrics."""

    batch_loss: Array
    penalty: Array
    bad_step: Array
    valid: dict[str, Array]
    due: Array  # bool: whether this epoch is evaluated


def start(setup: Setup, run: Run, params: Tree, rest: Tree, empty: Array) -> Lane:
    """A run's lane before its first epoch, with these initial variables."""
    one, zero = jnp.ones(()), jnp.zeros((), jnp.int32)
    average = () if run.average is None else run.average.init(params)
    begun = at_step(run, zero, setup.horizon(run))
    trained = Trained(params, rest, transformation(setup, begun, one, zero).init(params), average)
    schedule = schedule_of(run.schedule)
    plateau = schedule.init() if schedule.adapts else schedules.ReduceOnPlateau().init()
    return Lane(
        trained=trained,
        best={"params": params, "rest": rest},
        best_loss=jnp.full((), jnp.inf, jnp.float32),  # a weak type would compile a second program for checkpoints
        best_epoch=zero,
        patience=early_stopping.init(),
        plateau=plateau,
        status=jnp.where(empty, Status.EMPTY, Status.RUNNING).astype(jnp.int32),
        epochs=zero,
        diverged_step=zero,
    )


def length(setup: Setup, run: Run) -> Any:
    """The run's length in epochs; `steps` may cut the last one short."""
    return run.epochs if run.steps is None else -(-run.steps // setup.steps_per_epoch)


def close_epoch(run: Run, before: Lane, after: Trained, seen: Measured, last: Array, validated: bool) -> Lane:
    """The lane after an epoch: updated if every step was finite, rolled back to `before` if not, unchanged if it had ended.

    Args:
        run: the run, with traced numbers.
        before: the lane at the start of the epoch.
        after: its state after the epoch's steps.
        seen: the epoch's measurements.
        last: whether this is the run's last epoch.
        validated: whether there is a validation split; without one, the last epoch counts as the best.
    """
    running = before.status == Status.RUNNING
    diverged = running & (seen.bad_step > 0)
    kept = running & ~diverged
    epoch = before.epochs + 1
    value = monitored(run, seen, validated)
    judged = kept & seen.due
    limit: Any = early_stopping.NEVER if runs.is_off(run, "patience") else run.patience
    patience = early_stopping.update(before.patience, value, epoch, limit, run.min_delta)
    improved = judged & (value < before.best_loss) if validated else judged
    # Plateau and patience count only the epochs that were evaluated.
    schedule = schedule_of(run.schedule)
    plateau = schedule.update(before.plateau, value) if schedule.adapts else before.plateau
    stopped = judged & patience.stopped
    ended = jnp.where(stopped, Status.STOPPED_EARLY, jnp.where(kept & last, Status.DONE, before.status))
    status = jnp.where(diverged, Status.DIVERGED, ended)
    kept, improved = _computed_once(kept), _computed_once(improved)
    return Lane(
        trained=choose(kept, after, before.trained),
        best=choose(improved, {"params": evaluated_params(run, after), "rest": after.rest}, before.best),
        best_loss=jnp.where(improved, value, before.best_loss),
        best_epoch=jnp.where(improved, epoch, before.best_epoch),
        patience=choose(judged, patience, before.patience),
        plateau=choose(judged, plateau, before.plateau),
        status=status.astype(jnp.int32),
        epochs=jnp.where(kept, epoch, before.epochs),
        diverged_step=jnp.where(diverged, seen.bad_step, before.diverged_step),
    )


def monitored(run: Run, seen: Measured, validated: bool) -> Array:
    """What an epoch is judged by, lower is better: the monitored metric, negated where higher is better.

    By default the validation loss; the mean batch loss where there is no validation split.
    """
    if run.monitor is None:
        return seen.valid["loss"] if validated else seen.batch_loss
    value = seen.valid[run.monitor.removeprefix("valid_")]
    return -value if directions.ranking_direction(run.monitor, directions.own_directions([run])) else value


def _computed_once(condition: Array) -> Array:
    """The condition, by a division, which XLA does not repeat on a CPU.

    Cheap operations are repeated in the loop of each array that depends on them, which is then a kernel of its own to compile;
    with one number as its condition, choosing is the same kernel for all arrays of a shape.
    """
    return 1 / jnp.where(condition, 1.0, 2.0) > 0.75


def choose(condition: Array, new: Tree, old: Tree) -> Tree:
    """`new` where the scalar condition holds, otherwise `old`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
