"""What runs of one training program may differ in besides numbers: switched fields that are on, activation, schedule.

A run's numbers depend on its program, not on the other runs of the program.
"""

import dataclasses
from typing import Any

from lanes.describe import runs
from lanes.describe.descriptions import is_description
from lanes.describe.runs import FIELDS, SWITCHED, Run, SharedRun
from lanes.errors import RequestError
from lanes.program import shared_activation, shared_schedule, shared_widths
from lanes.program.shared_activation import AnyActivation
from lanes.program.shared_schedule import AnySchedule
from lanes.recipe.optimizers_own import FromFactory, optimizer_of
from lanes.recipe.optimizers_update import Optimizer
from nets import bridge

SEPARATE = "separate"  # the text of a program whose runs differ in their numbers only
BATCHED = "batched"  # begins the text of a program that selects


@dataclasses.dataclass(frozen=True)
class Sharing:
    """What the runs of a program may differ in besides their numbers.

    Attributes:
        neutral: switched fields that some of them have on and others off.
        activations: names of the branches of a switch over activations; none if the activation is built in.
        schedules: names of the schedules that are computed; none if the schedule is built in.
        widths: of the hidden layers of the program's net, of which runs may have fewer units; none if all have as many.
        batched: whether runs that are computed at once may differ in activation and in costly fields: every branch is
            computed, for all of them, and each run's is selected, as suits accelerators. Otherwise a conditional for each
            group of lanes, which has one activation, skips what none of the group needs.
    """

    neutral: tuple[str, ...] = ()
    activations: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    batched: bool = False

    @property
    def text(self) -> str:
        """What a directory records: `dropout l2 activation=relu,tanh widths=64,64`, with `batched` in front, or "separate"."""
        listed = {"activation": self.activations, "schedule": self.schedules, "widths": tuple(map(str, self.widths))}
        words = [f"{name}={','.join(branches)}" for name, branches in listed.items() if branches]
        return " ".join([*[BATCHED] * self.batched, *self.neutral, *words]) or SEPARATE

    def allows(self, run: Run) -> bool:
        """Whether a run may be trained by such a program."""
        if self.activations and shared_activation.branch_of(run.activation) not in self.activations:
            return False
        if self.schedules and shared_schedule.branch_of(run.schedule) not in self.schedules:
            return False
        if self.widths and not shared_widths.fits(run, self.widths):
            return False
        return set(self.neutral) <= set(may_be_neutral(run))


def sharing_of(text: Any) -> Sharing:
    """The inverse of `Sharing.text`.

    Raises RequestError for a text that no program has.
    """
    words = text.split() if isinstance(text, str) and text != SEPARATE else []  # a missing text: of an older table
    batched = words[:1] == [BATCHED]
    found: dict[str, list[str]] = {"neutral": [], "activation": [], "schedule": [], "widths": []}
    for word in words[batched:]:
        name, equals, branches = word.partition("=")
        found.setdefault(name if equals else "neutral", []).extend(branches.split(",") if equals else [word])
    known = {"neutral": SWITCHED, "activation": shared_activation.BRANCHES, "schedule": shared_schedule.BRANCHES}
    widths = found.pop("widths")
    is_known = found.keys() <= known.keys() and all(set(names) <= set(known[kind]) for kind, names in found.items())
    if not is_known or words == [BATCHED] or not all(width.isdecimal() and width.isascii() for width in widths):
        raise RequestError(f"a run's program is {text!r:.100}, which this version does not know")
    neutral, activations, schedules = (tuple(names) for names in found.values())
    return Sharing(neutral, activations, schedules, tuple(map(int, widths)), batched)


def may_be_neutral(run: Run) -> tuple[str, ...]:
    """The switched fields whose neutral value changes nothing in a run, whatever the user's own code does with them."""
    own_code = set()
    optimizer = optimizer_of(run.optimizer)
    if not (_is_ours(optimizer) and isinstance(optimizer, (Optimizer, FromFactory))):
        own_code |= {"momentum", "weight_decay", "clip"}
    if isinstance(run.net, bridge.Bridged) or type(run.net).__module__.partition(".")[0] != "nets":
        own_code.add("dropout")
    if not _is_ours(run.task):
        own_code |= {"label_smoothing", "input_noise"}
    described = {name for name in SWITCHED if is_description(getattr(run, name))}
    return tuple(name for name in SWITCHED if name not in own_code | described)


def _is_ours(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "lanes"


def compiled_for(run: Run, sharing: Sharing) -> Run:
    """The run as a program sees it."""
    if sharing == Sharing():
        return run
    values = dict(run.__dict__)
    for name in sharing.neutral:
        if runs.is_off(run, name):
            values[name] = _neutral(run, name)
    if sharing.activations or sharing.widths:
        branches = sharing.activations or (str(shared_activation.branch_of(run.activation)),)
        units = run.net.widths if sharing.widths else ()
        values["activation"] = shared_activation.shared(run.activation, branches, units)
    if sharing.widths:
        values["net"] = run.net.clone(widths=sharing.widths)
    if sharing.schedules:
        values["schedule"] = shared_schedule.shared(run.schedule, sharing.schedules)
    if sharing.neutral or sharing.batched:
        return SharedRun(**values, neutral=sharing.neutral, batched=sharing.batched)
    return Run(**values)


def by_name(compiled: Run) -> Run:
    """The run as its program's signature describes it: what is a position in a list by the names in the list."""
    named: dict[str, Any] = {}
    if isinstance(compiled.activation, AnyActivation):
        of_units = " of some units" if compiled.activation.units else ""
        named["activation"] = f"any of {', '.join(compiled.activation.branches)}{of_units}"
    if isinstance(compiled.schedule, AnySchedule):
        names = [shared_schedule.branch_of(schedule) for schedule in compiled.schedule.schedules]
        named["schedule"] = f"any of {', '.join(map(str, names))}"
    return dataclasses.replace(compiled, **named) if named else compiled


def _neutral(run: Run, name: str) -> Any:
    """The value of a switched field that changes nothing."""
    own = getattr(optimizer_of(run.optimizer), "default_momentum", None) if name == "momentum" else None
    return FIELDS[name].metadata["neutral"] if own is None else own
