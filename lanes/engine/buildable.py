"""Checks that each program of a plan can be traced and that each setting changes something, before anything is compiled."""

import dataclasses
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lanes.describe import blanks, identity, runs
from lanes.describe.blanks import Blank
from lanes.describe.descriptions import map_traced
from lanes.describe.runs import Run
from lanes.engine.effects import check_effects, numbers_have_effect
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.packs import stacked
from lanes.plan.planned import NOT_TRAINING, Planned, initializer_key, initializing, undrawing
from lanes.plan.sharing_widths import but_widths
from lanes.program import initialization, shared_activation, shared_widths
from lanes.program.determined import shapes_of as shapes_of_arrays
from lanes.program.initialization import DRAWING
from lanes.program.over_lanes import Data
from lanes.program.own_functions import place_of, place_of_equations
from lanes.program.rehearsal import (
    TRACING,
    Bounds,
    Rehearsal,
    bounds_of,
    rehearse_initialization,
    rehearse_training,
    shapes_of,
)
from lanes.program.shared_activation import AnyActivation
from lanes.program.stored_rehearsals import Told, told
from lanes.recipe.optimizers_own import FromFactory, optimizer_of
from lanes.recipe.schedules import Constant
from lanes.storage import initial_weights

Tree = Any
FLAX_DROPOUT = (("flax", "linen", "stochastic.py"), ("flax", "linen", "attention.py"))  # files whose layers drop out


class Buildable:
    """Rehearses the programs of a plan, each once, and checks the settings of its runs.

    Attributes:
        variables: shapes of the initial variables, by signature.
    """

    def __init__(self, datasets: Datasets):
        self._datasets = datasets
        self.variables: dict[str, Tree] = {}
        self._bounds: dict[str, dict[str, Bounds]] = {}  # of integer data, by data set
        self._training: dict[Any, frozenset[str]] = {}  # numbers with an effect, by signature and own numbers
        self._drawn: dict[Any, tuple[Tree, frozenset[str]]] = {}  # by initializing program
        self._initial: dict[tuple[str, Any], frozenset[str]] = {}  # by signature and initializer
        self._sound: set[tuple[str, int | None]] = set()  # families of which one run is enough, by signature

    def check(self, member: Planned) -> None:
        """Check that a run's programs can be traced for its data, and that its settings change something.

        Raises RequestError if not.
        """
        if member.family is not None and (member.signature, member.family) in self._sound:
            return
        initial = self.check_initialization(member)
        numbers = list(runs.numbers(member.run))
        training = self._rehearsed_training(member, numbers)
        check_effects(member.run, numbers, initial, training, self.variables[member.signature])
        if numbers_have_effect(numbers, initial | training):
            self._sound.add((member.signature, member.family))

    def check_initialization(self, member: Planned) -> frozenset[str]:
        """The numbers that a run's initial variables depend on. Raises RequestError if these cannot be drawn."""
        key = member.signature, (_blanked(member.run.initializer), _blanked(member.run.bias_initializer))
        if key not in self._initial:
            self._initial[key] = self._rehearsed_initialization(member)
        return self._initial[key]

    def _check_optimizer(self, member: Planned) -> None:
        optimizer = optimizer_of(runs.flat(member.run).optimizer)
        if isinstance(optimizer, FromFactory):
            try:
                varies = not isinstance(member.run.schedule, Constant)
                optimizer.check_update(self.variables[member.signature]["params"], varies)
            except ValueError as error:
                raise RequestError(str(error)) from error

    def check_init_from(self, text: str, member: Planned) -> str:
        """Which parameters are not the trained run's, in a line (`initial_weights.check`).

        Raises RequestError if the trained run does not exist, or none of its parameters fit the net.
        """
        return initial_weights.check(text, self.variables[member.signature]["params"])

    def _rehearsed_initialization(self, member: Planned) -> frozenset[str]:
        key = initializer_key(member)
        if key not in self._drawn:
            self._drawn[key] = self._rehearse_initialization(member, key)
        variables, effective = self._drawn[key]
        self.variables.setdefault(member.signature, variables)
        return effective

    def _rehearse_initialization(self, member: Planned, key: str) -> Told:
        data, run = self._datasets.of(member.run), initializing(member.run)
        setup = dataclasses.replace(member.setup, run=run)
        numbers = initialization.initial_numbers(runs.numbers(run))
        count = min(initialization.INIT_EXAMPLES, len(data.train))
        x, _ = shapes_of(data.train)
        examples = jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype), np.asarray(data.offset), np.asarray(data.scale)
        what = f"net {type(run.net).__name__} cannot be built for examples of shape {setup.features}"
        typed = _typed(numbers)

        def rehearse() -> Told:
            variables, rehearsal = _told(what, lambda: rehearse_initialization(setup, typed, examples))
            return variables, _in_range(rehearsal, run.net)

        return told(("initialize", key), (setup, shapes_of_arrays((typed, examples))), rehearse)

    def _rehearsed_training(self, member: Planned, numbers: Sequence[str]) -> frozenset[str]:
        """The run's numbers with an effect in training. Of activations that share a program, the table's, one is rehearsed."""
        activation, is_shared = member.run.activation, isinstance(member.compiled.activation, AnyActivation)
        if is_shared:
            activation = shared_activation.with_parameter(member.compiled.activation.branches) or activation
        rehearsed = dataclasses.replace(undrawing(member.compiled), activation=activation, schedule=member.run.schedule)
        fields = ("schedule.",) if is_shared else ("activation.", "schedule.")
        # Perceptrons of other widths are traced alike, whether or not they may share a program: with dropout they may not.
        is_alike = shared_widths.may_share(dataclasses.replace(member.run, dropout=0.0))
        program = but_widths(member) if is_alike else member.signature
        own = program, tuple(name for name in numbers if name.startswith(fields))
        if own not in self._training:
            self._check_optimizer(member)
            self._training[own] = self._rehearse_training(member, rehearsed)
        found = self._training[own]
        acts = is_shared and any(name.startswith("activation.") for name in found)
        return found | {name for name in numbers if acts and name.startswith("activation.")}

    def _rehearse_training(self, member: Planned, run: Run) -> frozenset[str]:
        setup, data = dataclasses.replace(member.setup, run=run), self._datasets.of(member.run)
        splits = data.splits()
        shapes = {name: shapes_of(split) for name, split in splits.items()}
        arrays = Data(shapes, np.asarray(data.offset), np.asarray(data.scale))
        numbers = _typed({name: n for name, n in runs.numbers(run).items() if not name.startswith(DRAWING)})
        what = f"net {type(run.net).__name__} does not fit the task, a penalty or an augmentation"
        key = f"{self._datasets.key(member.run)} as {data.task}, tokens: {data.holds_tokens}"
        if key not in self._bounds:
            self._bounds[key] = bounds_of(list(splits.values()))
        variables, bounds = self.variables[member.signature], self._bounds[key]

        def rehearse() -> Told:
            return None, _in_range(
                _told(what, lambda: rehearse_training(setup, numbers, variables, arrays, bounds)), run.net
            )

        signature = identity.signature(run, NOT_TRAINING, member.descriptions.versions)
        bounds_now = [(name, *bounds[name]) for name in sorted(bounds)]
        about = setup, shapes_of_arrays((numbers, variables, arrays)), bounds_now
        return told(("train", signature, sorted(splits)), about, rehearse)[1]


def parameter_shapes(variables: Tree) -> list[tuple[int, ...]]:
    """The shapes of the parameters among a net's variables."""
    return [leaf.shape for leaf in jax.tree.leaves(variables["params"])]


def _typed(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The traced numbers of one run with the types that the program takes."""
    return {name: value[0] for name, value in stacked([dict(numbers)], 1).items()}


def _blanked(initializer: Any) -> Any:
    """A key that is equal for initializers that share a program."""
    try:
        blank = map_traced("initializer", initializer, lambda path, _: Blank(path))
        hash(blank)
        return blank
    except TypeError:  # not hashable: equal to itself only
        return id(initializer)


def _told(what: str, rehearse: Callable[[], Any]) -> Any:
    """The result of a rehearsal; whatever it raises becomes a RequestError that says what it happened to, and where."""
    try:
        return rehearse()
    except RequestError:
        raise
    except Exception as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if not isinstance(error, (ValueError, AssertionError)):
            line = f"{type(error).__name__}: {line}"
        line += _remedy(error)
        place = place_of(error)
        where = "" if place is None else f"in {place}: "
        raise RequestError(f"{what}: {where}{line}") from error


def _remedy(error: BaseException) -> str:
    """What to write where Python reads a number that is traced; "" for other errors."""
    files = [Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__)]
    is_blank = bool(files) and files[-1] == Path(blanks.__file__)
    if not is_blank and not isinstance(error, jax.errors.ConcretizationTypeError):
        return ""
    if any(file.parts[-3:] in FLAX_DROPOUT for file in files):
        return (
            ": flax.linen decides in Python whether the rate of dropout is 0, and a run's dropout is traced; use "
            "nets.Dropout(self.dropout)(x, train=train)"
        )
    return (
        ": traced numbers differ between lanes; use jnp.where or lax.cond in place of if, and jnp in place of float()"
    )


def _in_range(rehearsal: Rehearsal, net: Any) -> frozenset[str]:
    """The numbers with an effect. Raises RequestError for an index out of range."""
    for bad in rehearsal.found:
        place = place_of_equations(bad.equations, TRACING) or f"net {type(net).__name__}"
        index = "a negative index" if bad.index < 0 else f"index {bad.index}"
        raise RequestError(
            f"{place} reads {index} of an axis of length {bad.size}, which JAX would silently clamp or fill: "
            "use an index inside it, or a net with more outputs, units or embeddings (a vocabulary of its own)"
        )
    return rehearsal.effective
