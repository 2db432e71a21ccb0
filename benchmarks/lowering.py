"""What programs for GPUs and TPUs hold, found on a machine without either: each is lowered for them, none is compiled."""

import collections
import dataclasses
import functools
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from benchmarks import lowered_runs
from benchmarks.measuring import Row, Table, say
from benchmarks.setting import Setting
from lanes import Run
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.runner import run_sweep
from lanes.program.compiled import Programs
from lanes.program.places import MAPPINGS, Place

PLATFORMS = ("cuda", "tpu")
WIDTH = 2  # lanes computed at once
STEP_LOOP = (
    3  # loops around a training step: over epochs, attempts at an epoch, and steps; these packs have one group of lanes
)
# Targets of custom calls that are no calls at run time.
ANNOTATIONS = ("Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "annotate_device_placement")


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that a sweep asked for, not compiled.

    Attributes:
        kind: first word of its key: "train", "evaluate", …
        jitted: the jitted function.
        args: shapes of its arguments.
    """

    kind: str
    jitted: Any
    args: tuple[Any, ...]

    def text(self, platform: str) -> str:
        """Its StableHLO for a platform, with that platform's lowering rules.

        Raises whatever JAX raises where an operation has no rule for the platform.
        """
        return export.export(self.jitted, platforms=(platform,))(*self.args).mlir_module()


class Recording(Programs):
    """A cache whose programs are traced and not compiled: calls return zeros of the right shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[Any, ...], Program] = {}
        self._once = threading.Lock()

    def get(self, key: tuple[Any, ...], place: Place, *wanted: Any, **options: Any) -> Callable:
        """As in `Programs`, without a compiler."""
        del options
        function, split, args = wanted
        with self._once:
            if key not in self.found:
                jitted = place.jitted(function, split, len(args))
                lowerable = jitted if hasattr(jitted, "lower") else jax.jit(jitted)
                self.found[key] = Program(str(key[0]), lowerable, jax.tree.map(_shape, args))
            program = self.found[key]
            shapes = jax.eval_shape(program.jitted, *program.args)
        return lambda *_: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(leaf), jax.dtypes.canonicalize_dtype(leaf.dtype))


def programs(run: Run, platform: str = "gpu", mapping: str = "local", devices: int = 1) -> list[Program]:
    """The programs of a sweep of one run, traced with the choices that are made for a platform's devices.

    Raises RequestError where the run is refused, and RuntimeError where the sweep does not ask for all of its programs.
    """
    recording = Recording()
    options = Options(
        width=WIDTH, devices=devices, mapping=mapping, quiet=True, programs=recording, pack_lanes=WIDTH * devices
    )
    jax.clear_caches()  # what was traced before may hold a CPU's choices
    of_platform = mock.patch.object(jax, "default_backend", return_value=platform)
    with tempfile.TemporaryDirectory() as out, of_platform:
        outcome = run_sweep(make_plan([run], options), Path(out) / "sweep", options)
    jax.clear_caches()
    found = list(recording.found.values())
    if not {"train", "evaluate"} <= {program.kind for program in found}:
        raise RuntimeError("; ".join(outcome.failures) or "the sweep did not train")
    return found


# ---- what a program holds ----------------------------------------------------------------------------------------

CALL = re.compile(r"\bcall @([\w.$-]+)")
CUSTOM = re.compile(r'custom_call @([\w.$-]+)|custom_call"?\(.*call_target_name = "([^"]+)"')
FUNCTION = re.compile(r"func\.func (?:public |private )?@([\w.$-]+)")
BRANCH = re.compile(r'"?stablehlo\.(case|if)"?\(')
LOOP = re.compile(r"stablehlo\.while\b")
FLOAT64 = re.compile(r"(tensor<|x)f64\b")


def held(text: str) -> collections.Counter[str]:
    """Counts of what is slow or absent on a GPU or a TPU, in the StableHLO of a program.

    "conditionals" and "conditionals in the step", "loops in the step" (each iteration of one is started anew),
    "host callbacks", "float64", and each custom call by "calls NAME". Only code that the program can reach counts.
    """
    functions = dict(_functions(text))

    @functools.cache
    def of(name: str, depth: int) -> collections.Counter[str]:
        counts: collections.Counter[str] = collections.Counter()
        for line, inside in functions.get(name, []):
            counts.update(_of_line(line, in_step=depth + inside >= STEP_LOOP))
            for called in CALL.findall(line):
                counts.update(of(called, depth + inside))
        return counts

    return +of("main", 0)


def _of_line(line: str, in_step: bool) -> Iterator[str]:
    """What one line holds, by name."""
    if BRANCH.search(line):
        yield "conditionals"
        if in_step:
            yield "conditionals in the step"
    if LOOP.search(line) and in_step:
        yield "loops in the step"
    if FLOAT64.search(line):
        yield "float64"
    if found := CUSTOM.search(line):
        target = found[1] or found[2]
        if "callback" in target:
            yield "host callbacks"
        elif target not in ANNOTATIONS:
            yield f"calls {target}"


def _functions(text: str) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Each function of a module: its name, and its lines with the number of loops around each."""
    name, depth = "", 0
    lines: list[tuple[str, int]] = []
    loops: list[int] = []  # of the loops around a line: how many braces were open where each began
    for line in text.splitlines():
        if found := FUNCTION.search(line):
            name, lines, depth, loops = found[1], [], 0, []
        elif name:
            lines.append((line, len(loops)))
        if LOOP.search(line):
            loops.append(depth)
        before, depth = depth, depth + line.count("{") - line.count("}")
        if loops and depth <= loops[-1] < before:
            loops.pop()
        if name and depth <= 0:
            yield name, lines
            name = ""


# ---- the table ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Lowered(Table):
    """A table of what programs for GPUs and TPUs hold.

    Attributes:
        held: for each platform and thing, the labels of the runs whose programs hold it, with the kinds of those programs.
        counts: programs lowered, by platform.
    """

    held: dict[str, dict[str, dict[str, set[str]]]] = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def markdown(self) -> str:
        """A row for each thing: how many runs' programs hold it on each platform, and which."""
        things = sorted({*ALWAYS_SAID, *(thing for found in self.held.values() for thing in found)})
        lines = [
            "| what | " + " | ".join(PLATFORMS) + " | programs | runs |",
            "|---|" + "---:|" * len(PLATFORMS) + "---|---|",
        ]
        for thing in things:
            found = {platform: self.held.get(platform, {}).get(thing, {}) for platform in PLATFORMS}
            kinds = sorted({kind for runs in found.values() for of in runs.values() for kind in of})
            cells = [str(len(found[platform])) for platform in PLATFORMS]
            lines.append(f"| {thing} | {' | '.join(cells)} | {', '.join(kinds) or '-'} | {self._runs(found)} |")
        failed = [f"{row.name}: {row.failure}" for row in self.rows if row.failure]
        counted = ", ".join(f"{count} for {platform}" for platform, count in self.counts.items())
        notes = [f"{len(self.rows)} runs; programs lowered: {counted}.", *self.notes, *failed]
        return "\n".join([*lines, "", *(f"- {note}" for note in notes)])

    def _runs(self, found: dict[str, dict[str, set[str]]]) -> str:
        names = sorted({name for runs in found.values() for name in runs})
        if len(names) > len(self.rows) // 2:
            return f"{len(names)} of {len(self.rows)}"
        return ", ".join(names) or "none"

    def json(self) -> dict[str, Any]:
        """The table as plain values for JSON."""
        held = {
            platform: {thing: {name: sorted(kinds) for name, kinds in runs.items()} for thing, runs in found.items()}
            for platform, found in self.held.items()
        }
        rows = [{"name": row.name, "failure": row.failure} for row in self.rows]
        return {"benchmark": self.name, "rows": rows, "held": held, "programs": self.counts}


ALWAYS_SAID = ("conditionals in the step", "loops in the step", "host callbacks", "float64")


def lowering(setting: Setting) -> Table:
    """Lower the programs of every net, task, recipe and mapping for GPUs and TPUs; count what is slow or absent there."""
    table = Lowered("lowering", "", [], notes=list(NOTES))
    for label, (run, mapping) in cases(setting.quick).items():
        say(label)
        row = Row(label)
        table.rows.append(row)
        try:
            note(table, label, programs(run, mapping=mapping, devices=1 if mapping == "local" else 2))
        except Exception as error:  # the others are lowered all the same
            row.failure = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]:.120}"
    return table


def note(table: Lowered, label: str, found: Sequence[Program]) -> None:
    """Lower programs for every platform and note what they hold."""
    for platform in PLATFORMS:
        for program in found:
            for thing in held(program.text(platform)):
                runs = table.held.setdefault(platform, {}).setdefault(thing, {})
                runs.setdefault(label, set()).add(program.kind)
            table.counts[platform] = table.counts.get(platform, 0) + 1


def cases(quick: bool = False) -> dict[str, tuple[Run, str]]:
    """The runs to lower and their mappings, by label."""
    switched = lowered_runs.of_switched()
    runs = {**lowered_runs.of_nets(), **lowered_runs.of_tasks(), **lowered_runs.of_recipes(), **switched}
    mapped = {f"mapping {mapping}": (lowered_runs.run(), mapping) for mapping in MAPPINGS if mapping != "local"}
    if quick:
        return {name: (run, "local") for name, run in switched.items()}
    return {name: (run, "local") for name, run in runs.items()} | mapped


NOTES = (
    "Lowered on a CPU by `jax.export` with the rules of each platform, traced with a GPU's choices (small convolutions as "
    "products); nothing was compiled or run.",
    "In the step: inside the loop over training steps. Calls: custom calls by name, for which XLA needs a kernel.",
)
