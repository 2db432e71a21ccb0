"""What parts of a sweep cost: a convolution in a loop, each regularizer, writing and checking the records."""

import contextlib
import dataclasses
import hashlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.comparisons import digits_mlp_runs
from benchmarks.measuring import Sample, Table, Way, interleaved
from benchmarks.ours import Packs, WarmSweep
from benchmarks.setting import Setting
from benchmarks.works import Work, source, work
from lanes.engine.checkpointing import Checkpointing
from lanes.engine.options import Options
from lanes.plan.packs import Pack
from lanes.storage import checkpoints, seals, tables
from lanes.storage.directory import Directory
from losses import PENALTIES
from nets import MLP, HiddenConv, LeNet5, convolve

CONVOLUTION = sys.modules[HiddenConv.__module__]  # the module to patch

# ---- a convolution in a loop -------------------------------------------------------------------------------------


def conv_loop(setting: Setting) -> Table:
    """LeNet-5's steps in `lax.scan` and unrolled, with the gradients of `nets.convolve` and with XLA's own."""
    steps, batch = (2, 4) if setting.quick else (16, 64)
    convolutions: dict[str, Any] = {"nets.convolve": convolve, "XLA's own": lax.conv_general_dilated}
    ways = [
        Way(f"{name}, {'unrolled' if unrolled else 'in lax.scan'}", _lenet_steps(function, steps, batch, unrolled))
        for name, function in convolutions.items()
        for unrolled in (False, True)
    ]
    rows = interleaved(ways, setting.repetitions(5))
    table = Table("conv_loop", f"ms for {steps} steps", rows, "nets.convolve, in lax.scan")
    for name in convolutions:
        inside, outside = (table.row(f"{name}, {how}").median for how in ("in lax.scan", "unrolled"))
        table.facts[f"{name}: scan / unrolled"] = inside / outside
        table.notes.append(f"{name}: a step in the loop takes {inside / outside:.2f} times as long as an unrolled one.")
    table.notes.append(f"LeNet-5, 28×28, batch {batch}, Adam, one device, one net.")
    return table


def _lenet_steps(function: Callable, steps: int, batch: int, unrolled: bool) -> Callable[[], float]:
    """Milliseconds for `steps` training steps, compiled with `function` as the convolution."""
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(steps, batch, 28, 28, 1)), jnp.float32)
    y = jnp.asarray(random.integers(0, 10, (steps, batch)), jnp.int32)
    net, optimizer = LeNet5(), optax.adam(1e-3)
    params = net.init(jax.random.key(0), x[0], train=False)

    def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        logits = net.apply(params, x, train=True)
        return optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), y).mean()

    def step(carry: Any, batch: Any) -> tuple[Any, None]:
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, *batch), state, params)
        return (optax.apply_updates(params, updates), state), None

    def train(params: Any, x: jax.Array, y: jax.Array) -> Any:
        return lax.scan(step, (params, optimizer.init(params)), (x, y), unroll=steps if unrolled else 1)[0]

    with mock.patch.object(CONVOLUTION, "convolve", function):
        compiled = jax.jit(train).lower(params, x, y).compile()
    return lambda: 1e3 * _seconds(lambda: compiled(params, x, y))


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


# ---- regularizers ------------------------------------------------------------------------------------------------

NONE = "none"
HEAVY = ("contractive",)
EXCLUDED = ("l1", "l2", "code_l1", "code_kl")  # covered by fields of a run, or need a code


def regularizers(setting: Setting) -> Table:
    """Time and memory of a training step with each regularizer, against none, on the MNIST MLP."""
    mnist_mlp = _shortened(work("mnist_mlp", setting.quick), steps=2 if setting.quick else 16)
    cases = regularized(mnist_mlp.run.net)
    if setting.quick:
        cases = {name: cases[name] for name in (NONE, "l2", "dropout")}
    width = setting.widths[0] if setting.widths else 4 if setting.on_cpu else 64
    lanes = width if setting.quick else 2 * width
    packs = {
        name: Packs(mnist_mlp, *((1, 1) if name in HEAVY else (width, lanes)), setting.count, changes)
        for name, changes in cases.items()
    }
    rows = interleaved([Way(name, _with_memory(pack)) for name, pack in packs.items()], setting.repetitions(5))
    notes = [
        f"MLP 784-128-128-10, batch 128, Adam, {mnist_mlp.steps} steps, {width} lanes at once, devices: {len(setting.devices)}; "
        f"data: {source(mnist_mlp.run)}.",
        f"{', '.join(HEAVY)}: one lane per device, because of its many backward passes.",
        "Memory: what the program needs for a pack in addition to parameters, data and results, according to XLA.",
    ]
    table = Table("regularizers", "ms per run", rows, NONE, notes)
    table.facts["milliseconds more per step"] = {
        row.name: (row.median - table.row(NONE).median) / mnist_mlp.steps for row in rows if row.values
    }
    return table


def _shortened(work: Work, steps: int) -> Work:
    run = dataclasses.replace(work.run, train_examples=work.run.batch_size * steps)
    return dataclasses.replace(work, run=run, steps=steps)


def regularized(net: nn.Module) -> dict[str, dict[str, Any]]:
    """For each regularizer, the fields of a run that switch it on."""
    penalized = {name: {"penalties": (_on(penalty),)} for name, penalty in PENALTIES.items() if name not in EXCLUDED}
    widths = getattr(net, "widths", ())
    normalized = {norm: {"net": MLP(widths=widths, norm=norm)} for norm in ("batch_norm", "layer_norm", "group_norm")}
    return {
        NONE: {},
        "l1": {"l1": 1e-5},
        "l2": {"l2": 1e-5},
        "weight_decay (adamw)": {"weight_decay": 1e-2},
        **penalized,
        "dropout": {"dropout": 0.1},
        "input_noise": {"input_noise": 0.1},
        "label_smoothing": {"label_smoothing": 0.1},
        "clip": {"clip": 1.0},
        **normalized,
        "average: ema": {"average": "ema"},
        "patience": {"patience": 5},
    }


def _on(penalty: Any) -> Any:
    """The penalty; with a strength of 1e-5 if its default is 0."""
    names = {field.name for field in dataclasses.fields(penalty)}
    off = "strength" in names and not penalty.strength
    return dataclasses.replace(penalty, strength=1e-5) if off else penalty


def _with_memory(packs: Packs) -> Callable[[], Sample]:
    def once() -> Sample:
        value, temporary = packs().value, packs.temporary_bytes
        return Sample(value, {"memory, MB": "-" if temporary is None else f"{temporary / 2**20:.1f}"})

    return once


# ---- records -----------------------------------------------------------------------------------------------------

WHOLE = "everything"
FALSE_SUM = "0" * 64


def overhead(setting: Setting) -> Table:
    """A sweep of the digits MLP with each kind of record or check left out: the difference is its cost."""
    digits_mlp = work("sweep", setting.quick)
    whole = WarmSweep(digits_mlp_runs(digits_mlp.run, quick=setting.quick), Options(devices=setting.count))
    ways = [Way(WHOLE, whole)]
    ways += [Way(f"without {name}", _without(whole, name)) for name in LEFT_OUT]
    table = Table("overhead", "ms per run", interleaved(ways, setting.repetitions(5)), WHOLE)
    for name in LEFT_OUT:
        table.facts[f"share of {name}"] = 1 - table.ratio(table.row(f"without {name}"))
        table.notes.append(f"{name}: {100 * table.facts[f'share of {name}']:.1f}% of a sweep's time.")
    table.notes.append(
        f"{len(whole.requested)} runs of {digits_mlp.epochs} epochs with compiled programs, into a new temporary directory."
    )
    return table


def _without(whole: WarmSweep, name: str) -> Callable[[], Sample]:
    def once() -> Sample:
        with contextlib.ExitStack() as stack:
            for patch in LEFT_OUT[name]():
                stack.enter_context(patch)
            return whole()

    return once


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Stands in for a function that is left out."""


def _write_only(folder_kept: str) -> Callable[..., None]:
    write = Directory.write_part

    def write_part(self: Directory, folder: Any, name: str, rows: Any, marks: Any = None) -> None:
        if folder.name == folder_kept:  # without results the sweep would count as unfinished
            write(self, folder, name, rows, marks)

    return write_part


def _curves_alone(self: Checkpointing, pack: Pack, number: int, leaves: dict[str, np.ndarray], curves: Any) -> None:
    """What a pack's state leaves without a checkpoint, which would be read back."""
    if curves is not None:
        directory = self.context.directory
        mark = seals.mark_of(number, leaves)
        directory.write_part(directory.curves, pack.pack_id, curves, {pack.pack_id: mark})


LEFT_OUT: dict[str, Callable[[], list[Any]]] = {
    "fsync": lambda: [mock.patch.object(os, "fsync", _nothing)],
    "checksums": lambda: [
        mock.patch.object(tables, "_digest", return_value=FALSE_SUM),
        mock.patch.object(hashlib, "file_digest", return_value=mock.Mock(**{"hexdigest.return_value": FALSE_SUM})),
        mock.patch.object(seals, "mark_of", lambda number, _: seals.Mark(number, FALSE_SUM)),
    ],
    "checkpoints": lambda: [
        mock.patch.object(checkpoints, "save", _nothing),
        mock.patch.object(Checkpointing, "_write", _curves_alone),
    ],
    "curves": lambda: [mock.patch.object(Directory, "write_part", _write_only("results"))],
    "checkpoints and curves": lambda: [*LEFT_OUT["checkpoints"](), *LEFT_OUT["curves"]()],
}
