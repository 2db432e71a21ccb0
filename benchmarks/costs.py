"""What the parts of a sweep cost: a convolution in a loop, each regularizer, the records."""

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
from lanes.engine.options import Options
from lanes.storage import checkpoints, tables
from lanes.storage.directory import Directory
from losses import PENALTIES
from nets import MLP, HiddenConv, LeNet5, convolve

CONVOLUTION = sys.modules[HiddenConv.__module__]  # the attribute of `nets` by that name is the function

# ---- a convolution in a loop -------------------------------------------------------------------------------------


def conv_loop(setting: Setting) -> Table:
    """LeNet's steps inside `lax.scan` and unrolled, with our convolution and with XLA's own gradients."""
    steps, batch = (2, 4) if setting.quick else (16, 64)
    makers: dict[str, Any] = {"ours": convolve, "XLA's own": lax.conv_general_dilated}
    ways = [
        Way(f"{name}, {'unrolled' if unrolled else 'in lax.scan'}", _lenet_steps(function, steps, batch, unrolled))
        for name, function in makers.items()
        for unrolled in (False, True)
    ]
    rows = interleaved(ways, setting.repetitions(5))
    found = Table("conv_loop", f"ms for {steps} steps", rows, "ours, in lax.scan")
    for name in makers:
        inside, outside = (found.row(f"{name}, {how}").median for how in ("in lax.scan", "unrolled"))
        found.facts[f"{name}: scan / unrolled"] = inside / outside
        found.notes.append(f"{name}: a step in the loop takes {inside / outside:.2f} times one outside of it.")
    found.notes.append(f"LeNet-5, 28×28, batch {batch}, Adam, one device, one net.")
    return found


def _lenet_steps(function: Callable, steps: int, batch: int, unrolled: bool) -> Callable[[], float]:
    """Milliseconds for so many training steps, compiled with the given convolution."""
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
OTHERWISE = (
    "l1",
    "l2",
    "code_l1",
    "code_kl",
)  # two are fields of a run, two need a code: they are the activity's, on one layer


def regularizers(setting: Setting) -> Table:
    """Time and memory of a training step with each regularizer, against none, on the MNIST MLP."""
    chosen = _shortened(work("mnist_mlp", setting.quick), steps=2 if setting.quick else 16)
    cases = regularized(chosen.run.net)
    if setting.quick:
        cases = {name: cases[name] for name in (NONE, "l2", "dropout")}
    width = setting.widths[0] if setting.widths else 4 if setting.on_cpu else 64
    lanes = width if setting.quick else 2 * width
    packs = {
        name: Packs(chosen, *((1, 1) if name in HEAVY else (width, lanes)), setting.count, changes)
        for name, changes in cases.items()
    }
    rows = interleaved([Way(name, _with_memory(one)) for name, one in packs.items()], setting.repetitions(5))
    notes = [
        f"MLP 784-128-128-10, batch 128, Adam, {chosen.steps} steps, {width} lanes at once, devices: {len(setting.devices)}; "
        f"data: {source()}.",
        f"{', '.join(HEAVY)}: one lane on each device, for its many backward passes.",
        "Memory: what the program needs for a pack beside parameters, data and results, as XLA states it.",
    ]
    found = Table("regularizers", "ms per run", rows, NONE, notes)
    found.facts["milliseconds more per step"] = {
        row.name: (row.median - found.row(NONE).median) / chosen.steps for row in rows if row.values
    }
    return found


def _shortened(chosen: Work, steps: int) -> Work:
    run = dataclasses.replace(chosen.run, train_examples=chosen.run.batch_size * steps)
    return dataclasses.replace(chosen, run=run, steps=steps)


def regularized(net: nn.Module) -> dict[str, dict[str, Any]]:
    """Changes to a run by the regularizer that they switch on."""
    acting = {name: {"penalties": (_on(penalty),)} for name, penalty in PENALTIES.items() if name not in OTHERWISE}
    widths = getattr(net, "widths", ())
    normalized = {norm: {"net": MLP(widths=widths, norm=norm)} for norm in ("batch_norm", "layer_norm", "group_norm")}
    return {
        NONE: {},
        "l1": {"l1": 1e-5},
        "l2": {"l2": 1e-5},
        "weight_decay (adamw)": {"weight_decay": 1e-2},
        **acting,
        "dropout": {"dropout": 0.1},
        "input_noise": {"input_noise": 0.1},
        "label_smoothing": {"label_smoothing": 0.1},
        "clip": {"clip": 1.0},
        **normalized,
        "average: ema": {"average": "ema"},
        "patience": {"patience": 5},
    }


def _on(penalty: Any) -> Any:
    """The penalty with a strength, where its default is none."""
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
    """A sweep of the digits MLP with and without what it writes and checks: the difference is what that costs."""
    chosen = work("sweep", setting.quick)
    whole = WarmSweep(digits_mlp_runs(chosen.run, quick=setting.quick), Options(devices=setting.count))
    ways = [Way(WHOLE, whole)]
    ways += [Way(f"without {name}", _without(whole, name)) for name in LEFT_OUT]
    found = Table("overhead", "ms per run", interleaved(ways, setting.repetitions(5)), WHOLE)
    for name in LEFT_OUT:
        found.facts[f"share of {name}"] = 1 - found.ratio(found.row(f"without {name}"))
        found.notes.append(f"{name}: {100 * found.facts[f'share of {name}']:.1f}% of a sweep's time.")
    found.notes.append(
        f"{len(whole.requested)} runs of {chosen.epochs} epochs, programs warm, into a new temporary directory."
    )
    return found


def _without(whole: WarmSweep, name: str) -> Callable[[], Sample]:
    def once() -> Sample:
        with contextlib.ExitStack() as stack:
            for patch in LEFT_OUT[name]():
                stack.enter_context(patch)
            return whole()

    return once


def _nothing(*args: Any, **kwargs: Any) -> None:
    """In place of what is left out."""


def _no_results_but(folder_kept: str) -> Callable[..., None]:
    write = Directory.write_part

    def part(self: Directory, folder: Any, name: str, rows: Any) -> None:
        if folder.name == folder_kept:  # without results a sweep would not count as ended
            write(self, folder, name, rows)

    return part


LEFT_OUT: dict[str, Callable[[], list[Any]]] = {
    "fsync": lambda: [mock.patch.object(os, "fsync", _nothing)],
    "checksums": lambda: [
        mock.patch.object(tables, "_digest", return_value=FALSE_SUM),
        mock.patch.object(hashlib, "file_digest", return_value=mock.Mock(**{"hexdigest.return_value": FALSE_SUM})),
    ],
    "checkpoints": lambda: [mock.patch.object(checkpoints, "save", _nothing)],
    "curves": lambda: [mock.patch.object(Directory, "write_part", _no_results_but("results"))],
    "checkpoints and curves": lambda: [*LEFT_OUT["checkpoints"](), *LEFT_OUT["curves"]()],
}
