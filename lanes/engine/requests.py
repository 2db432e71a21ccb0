"""Requests: every run is validated and planned before anything starts."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lanes.describe import comparable, directions, identity
from lanes.describe.halving import Halving
from lanes.describe.runs import Run, metric_names
from lanes.describe.versions import Versions
from lanes.engine import callbacks
from lanes.engine.buildable import Buildable, parameter_shapes
from lanes.engine.options import Options
from lanes.errors import RequestError, unknown
from lanes.plan import sharing, sharing_widths, widths
from lanes.plan.datasets import Datasets
from lanes.plan.families import Families, refusing
from lanes.plan.planned import Planned
from lanes.program import lane
from lanes.program.places import Place, make_places, select_devices
from lanes.program.sharing import Sharing, sharing_of
from lanes.storage import data_records, initial_weights, recorded_programs, records
from lanes.storage.directory import Directory
from lanes.storage.finished import Finished


@dataclasses.dataclass(frozen=True)
class Plan:
    """A validated request: the runs, their data sets, and the places to train at.

    Attributes:
        planned: the runs.
        datasets: where their data come from.
        places: where they are trained.
        variables: shapes of one lane's initial variables, by signature.
        tracing_seconds: what tracing the programs took, to check them.
        programs: how the runs' programs were chosen, in one line.
        notes: what is worth knowing of it, a line each.
        continued: the finished run that each run goes on from, by run_id; most go on from none.
        unchecked: what is left to be checked, which returns notes; None if nothing is.
    """

    planned: list[Planned]
    datasets: Datasets
    places: list[Place]
    variables: Mapping[str, Any] = dataclasses.field(repr=False)
    tracing_seconds: float = 0.0
    programs: str = ""
    notes: tuple[str, ...] = ()
    continued: Mapping[str, Finished] = dataclasses.field(default_factory=dict)
    unchecked: Callable[[], tuple[str, ...]] | None = dataclasses.field(default=None, repr=False)

    @functools.cached_property
    def shapes(self) -> dict[str, list[tuple[int, ...]]]:
        """The shapes of the net's parameters, by signature."""
        return {signature: parameter_shapes(found) for signature, found in self.variables.items()}

    def parameters(self, signature: str) -> int:
        """Number of parameters of a signature's net."""
        return widths.parameters(self.shapes[signature])

    def checked(self) -> "Plan":
        """The plan, with nothing left to be checked. Raises RequestError for what cannot be traced or changes nothing."""
        if self.unchecked is None:
            return self
        began = time.perf_counter()
        notes = self.unchecked()
        seconds = self.tracing_seconds + time.perf_counter() - began
        return dataclasses.replace(self, notes=notes, tracing_seconds=seconds, unchecked=None)


def make_plan(requested: Iterable[Run], options: Options, run_ids: Sequence[str] = (), checked: bool = True) -> Plan:
    """Validate every run, load the data sets, and find the devices. Nothing is written.

    Args:
        requested: the runs.
        options: how they will be trained.
        run_ids: keeps only these of the runs, by run_id or an unambiguous prefix; () keeps all.
        checked: whether all programs are traced to check them. Otherwise one of each net that draws its variables is, for
            their shapes, and `Plan.checked` checks the rest.

    Raises RequestError for the first problem found.
    """
    requested = list(requested)
    if not requested:
        raise RequestError("the sweep has no runs: return at least one from sweep()")
    places = list(options.elsewhere.places) if options.elsewhere is not None else _own_places(options)
    if options.width is not None and options.width < 1:
        raise RequestError(f"--width is {options.width}: it must be at least 1, or auto")
    if options.sharing not in sharing.WAYS:
        raise RequestError(f"--programs is {options.sharing!r}: it must be one of {', '.join(sharing.WAYS)}")
    callbacks.checked(options.callbacks)
    datasets = Datasets(options.data_dir)
    families = Families(datasets)
    distinct: dict[str, Planned] = {}
    for run in requested:
        resolved = families.plan(run)
        _check_splits(resolved.run.batch_size, places[0])
        distinct.setdefault(resolved.run_id, resolved)
    planned = [distinct[run_id] for run_id in _selected(list(distinct), run_ids)]
    directions.own_directions(member.run for member in planned)  # one direction for each name
    if options.halving is not None:
        check_halving(options.halving, planned, datasets)
    _check_epochs(planned)
    on_cpu, began = places[0].devices[0].platform == "cpu", time.perf_counter()
    together = sharing.together(planned, on_cpu)
    buildable = Buildable(datasets)
    check = functools.partial(_traced, buildable, together)
    notes = check() if checked else ()
    for member in () if checked else together:
        if member.signature not in buildable.variables:
            buildable.check_initialization(member)
    seconds = time.perf_counter() - began
    drawn = {member.run_id: buildable.variables[member.signature] for member in together}
    chosen, said = _in_chosen_programs(planned, options, places, drawn)
    variables = sharing_widths.variables_of(chosen, drawn)
    return Plan(chosen, datasets, places, variables, seconds, said, notes, unchecked=None if checked else check)


def _in_chosen_programs(
    planned: Sequence[Planned], options: Options, places: Sequence[Place], drawn: Mapping[str, Any]
) -> tuple[list[Planned], str]:
    """The runs in the programs that take the least time, and how these were chosen; `drawn` are variables by run_id."""
    traced = {run_id: parameter_shapes(variables) for run_id, variables in drawn.items()}
    chosen = sharing.choose(
        planned,
        options.sharing,
        places[0].devices[0].platform == "cpu",
        shapes=lambda member: traced[member.run_id],
        step_seconds=lambda member: widths.step_seconds(member, traced[member.run_id], places),
        steps=lambda alike: widths.steps(alike, places),
    )
    # A callback is given the parameters of a pack as one array.
    way = "separate" if options.callbacks else options.sharing
    sized = sharing_widths.choose(
        chosen.planned,
        way,
        params=lambda member: drawn[member.run_id]["params"],
        step_seconds=lambda member, count: widths.dense_step_seconds(member, count, places),
        steps=lambda alike: widths.steps(alike, places),
    )
    return sized.planned, "; ".join(filter(None, (chosen.said, sized.said)))


def _traced(buildable: Buildable, members: Sequence[Planned]) -> tuple[str, ...]:
    """Trace one program of each family, whatever its runs are trained by; return what is worth knowing of it.

    Raises RequestError for what cannot be traced or changes nothing.
    """
    notes = []
    for member in members:
        buildable.check(member)
        if member.run.init_from is not None:
            with refusing(f"init_from is {member.run.init_from!r}"):
                notes.append(buildable.check_init_from(member.run.init_from, member))
                initial_weights.check_data(member.run.init_from, member.data)
    return tuple(dict.fromkeys(filter(None, notes)))


def _own_places(options: Options) -> list[Place]:
    return make_places(select_devices(options.devices, options.hosts), options.mapping)


def _selected(known: list[str], run_ids: Sequence[str]) -> list[str]:
    """The known run_ids that these are, or begin with them; all for ()."""
    found = set()
    for text in run_ids:
        alike = [run_id for run_id in known if text and run_id.startswith(text)]
        if len(alike) > 1:
            raise RequestError(f"--only run_id={text} matches {len(alike)} runs: write more digits")
        if not alike:
            raise RequestError(
                f"--only run_id={text} matches no run of the {len(known)} that are asked for: a changed file, --set or "
                "--seeds gives other run_ids"
            )
        found.add(alike[0])
    return [run_id for run_id in known if run_id in found] if run_ids else known


def in_recorded_programs(plan: Plan, directory: Directory, options: Options) -> Plan:
    """The plan with its runs in the programs that a directory records; says so where the options ask for others.

    Raises RequestError for a program that this version does not know.
    """
    if not directory.path.is_dir():
        return plan
    planned = recorded_programs.in_recorded_programs(plan.planned, records.known_runs(directory))
    if all(new is old for new, old in zip(planned, plan.planned, strict=True)):
        return plan
    if options.sharing != "auto":
        directory.warn(
            f"--programs {options.sharing} is ignored where {directory.path} records a program, which is kept"
        )
    count = len({member.signature for member in planned})
    said = f"{count} training programs: those that {directory.path} records are kept"
    return dataclasses.replace(_replanned(plan, planned), programs=said)


def in_program(plan: Plan, text: str | None) -> Plan:
    """The plan with those runs in a recorded program that it allows (`Sharing.text`)."""
    shared = sharing_of(text)
    return in_programs(plan, {m.run_id: shared for m in plan.planned if shared.allows(m.run)})


def in_programs(plan: Plan, programs: Mapping[str, Sharing]) -> Plan:
    """The plan with runs in the programs given by run_id."""
    return _replanned(plan, sharing.in_program(plan.planned, programs))


def _replanned(plan: Plan, planned: list[Planned]) -> Plan:
    pairs = zip(planned, plan.planned, strict=True)
    variables = {
        new.signature: sharing_widths.in_widths(plan.variables[old.signature], new.run, new.sharing.widths)
        if new.sharing.widths != old.sharing.widths
        else plan.variables[old.signature]
        for new, old in pairs
    }
    return dataclasses.replace(plan, planned=planned, variables=variables)


def followed(halving: Halving | None, planned: Sequence[Planned]) -> Halving | None:
    """The halving by what these runs monitor, if it states no metric.

    Raises RequestError where they monitor several.
    """
    if not isinstance(halving, Halving):
        return halving
    return halving.following(member.run.monitor for member in planned)


def check_halving(halving: Halving, planned: Sequence[Planned], datasets: Datasets) -> None:
    """Raise RequestError for a halving that cannot rank these runs."""
    halving = followed(halving, planned) or halving
    _check_halving(halving, planned, datasets)
    own = directions.own_directions(member.run for member in planned)
    directions.ranking_direction(halving.metric, own)
    _check_comparable(halving, planned, own)


def check_data(plan: Plan, directory: Directory) -> None:
    """Compare the runs' data with what the directory's runs were trained on; load data that are new to it a second time.

    Raises RequestError if they differ.
    """
    new = set(data_records.check(directory, [member.data for member in plan.planned]))
    plan.datasets.check_repeatable(member.run for member in plan.planned if member.data in new)


def identities(plan: Plan, further: Iterable[Run]) -> set[str]:
    """The run_ids of further runs for the data sets and places of a plan, without those that cannot be planned."""
    families = Families(plan.datasets)
    found = set()
    for run in further:
        with contextlib.suppress(RequestError):
            found.add(families.plan(run).run_id)
    return found


def _check_epochs(planned: Sequence[Planned]) -> None:
    """Raise RequestError for runs that differ only in epochs, whose length is set in steps."""
    in_steps = [member.run for member in planned if member.run.steps is not None]
    if len({run.epochs for run in in_steps}) < 2:
        return
    seen: dict[str, Run] = {}
    for run in in_steps:
        other = seen.setdefault(identity.run_id(dataclasses.replace(run, epochs=1)), run)
        if other.epochs != run.epochs:
            raise RequestError(
                f"epochs is {other.epochs} and {run.epochs} in runs of {run.steps} steps that are otherwise equal: epochs has "
                "no effect where steps is set; leave one of them out"
            )


def _check_splits(batch_size: int, place: Place) -> None:
    if place.mapping == "data" and batch_size % len(place.devices):
        raise RequestError(
            f"batch_size is {batch_size} and --mapping data splits it over {len(place.devices)} devices: it must be a "
            "multiple of their number; change it, or set --devices"
        )


def _check_halving(halving: Halving, planned: Sequence[Planned], datasets: Datasets) -> None:
    """Raise RequestError if the runs are too short, evaluated too rarely, or lack the metric."""
    if not isinstance(halving, Halving):
        raise RequestError(f"halving is {halving!r}: it must be Halving(rungs=(5, 10), keep=0.5)")
    halving.check()
    known: set[str] = set()
    for member in planned:
        run, length = member.run, int(lane.length(member.setup, member.run))
        if halving.rungs[-1] >= length:
            raise RequestError(
                f"halving has a rung at epoch {halving.rungs[-1]} and a run of {length} epochs: rungs must lie below that"
            )
        if run.eval_every > halving.rungs[0]:
            raise RequestError(
                f"halving has a rung at epoch {halving.rungs[0]} and eval_every is {run.eval_every}: the run is not "
                "evaluated by then; evaluate more often, or choose later rungs"
            )
        if member.signature not in known:
            known.add(member.signature)
            has_validation = "valid" in datasets.of(run).splits()
            names = [f"valid_{name}" for name in metric_names(run)] if has_validation else []
            if not names:
                raise RequestError("halving ranks by validation metrics: set valid_fraction above 0")
            if halving.metric not in names:
                raise unknown("halving metric", halving.metric, names)


def _check_comparable(halving: Halving, planned: Sequence[Planned], own: directions.Directions) -> None:
    """Raise RequestError if the metric means different things in the runs that it would rank against each other."""
    measured: dict[tuple[int, ...], tuple[Run, comparable.Facets]] = {}
    versions = Versions()
    for member in planned:
        key = tuple(id(getattr(member.run, name)) for name in ("data", "loss", "task", "metrics", "valid_fraction"))
        if key not in measured:
            measured[key] = member.run, comparable.facets_of_run(member.run, initial_weights.described, versions)
    found = [one for _, one in measured.values()]
    if len({comparable.measures(one, halving.metric) for one in found}) == 1:
        return
    names = [f"valid_{name}" for name in metric_names(planned[0].run)]
    names = [name for name in names if all(name[6:] in metric_names(run) for run, _ in measured.values())]
    common = [name for name in names if len({comparable.measures(one, name) for one in found}) == 1]
    ranking = [name for name in common if directions.direction(name, own) is not None]
    differ = " and ".join(comparable.differing(found, halving.metric))
    if ranking:
        remedy = f"rank by a metric that all have, Halving(…, metric={ranking[-1]!r}) (all have {', '.join(ranking)})"
    elif common:
        name = common[0].removeprefix("valid_")
        remedy = (
            f"rank by {common[0]}, which all have: write Metric({name}, higher_is_better=False), or True if higher is"
        )
    else:
        remedy = "make a sweep of each"
    raise RequestError(f"halving by {halving.metric} would compare runs that differ in {differ}: {remedy}")
