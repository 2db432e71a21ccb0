"""The two limits: the digits MLP stripped down to its training step, and the machine's rate in a large matrix product."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.measuring import Sample
from benchmarks.ours import together
from benchmarks.works import Work, standardized
from lanes.data.orders import epoch_order

SIDE = 2048


class BareStep:
    """The digits MLP as a bare loop of training steps, on every device at once.

    Parameters are plain arrays made beforehand, as are the orders of examples; the activation is fixed; there is no
    evaluation, best epoch, divergence check or file. Only the rate is traced, as a sweep requires.
    """

    def __init__(self, work: Work, width: int, lanes: int, devices: list[jax.Device]):
        self.lanes = lanes * len(devices)
        data = work.data
        x = standardized(data, np.asarray(data.train.x)).reshape(len(data.train), -1)
        orders = np.stack([epoch_order(len(data.train), 0, at, work.run.batch_size) for at in range(work.epochs)])
        random = np.random.default_rng(0)
        params = [(random.normal(size=(lanes, m, n)) * (2 / m) ** 0.5, np.zeros((lanes, n))) for m, n in _SHAPES]
        rates = np.linspace(1e-3, 2e-3, lanes)
        arrays = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), (params, rates, x))
        integers = (np.asarray(data.train.y, np.int32), orders.reshape(-1, work.run.batch_size).astype(np.int32))
        program = jax.jit(lambda *args: _train(width, *args))
        self.calls = [_bound(program, device, (*arrays, *integers)) for device in devices]

    def __call__(self) -> Sample:
        """Milliseconds per run."""
        return Sample(1e3 * together(self.calls) / self.lanes, {"lanes at once": f"{self.lanes}"})


_SHAPES = ((64, 64), (64, 64), (64, 10))


def _train(width: int, params: Any, rates: jax.Array, x: jax.Array, y: jax.Array, batches: jax.Array) -> Any:
    """Parameters [P, …] after all `batches` [steps, B], `width` lanes at a time."""

    def loss(params: Any, batch: jax.Array) -> jax.Array:
        h = x[batch]
        for at, (kernel, bias) in enumerate(params):
            h = h @ kernel + bias[None]
            h = jax.nn.relu(h) if at < len(params) - 1 else h
        return optax.softmax_cross_entropy_with_integer_labels(h, y[batch]).mean()

    def step(params: Any, state: Any, rate: jax.Array, batch: jax.Array) -> Any:
        optimizer = optax.adam(rate)
        updates, state = optimizer.update(jax.grad(loss)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    def group(args: Any) -> Any:
        params, rates = args
        start = params, jax.vmap(optax.adam(1e-3).init)(params)
        over = jax.vmap(step, in_axes=(0, 0, 0, None))
        return lax.scan(lambda carry, batch: (over(*carry, rates, batch), None), start, batches)[0][0]

    grouped = jax.tree.map(lambda leaf: leaf.reshape(-1, width, *leaf.shape[1:]), (params, rates))
    return lax.map(group, grouped)


class Product:
    """A 2048³ float32 matrix product on every device at once: the highest rate the machine reaches."""

    def __init__(self, devices: list[jax.Device], side: int = SIDE):
        self.side, self.count = side, 4 * len(devices)
        matrix = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
        program = jax.jit(lambda a, b: a @ b)
        self.calls = [_several(_bound(program, device, (matrix, matrix))) for device in devices]

    def __call__(self) -> float:
        """GFLOP/s."""
        return 2e-9 * self.side**3 * self.count / together(self.calls)


def _several(call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: [jax.block_until_ready(call()) for _ in range(4)][-1]


def _bound(program: Callable, device: jax.Device, args: tuple[Any, ...]) -> Callable[[], Any]:
    """A call of the program with its arguments already on the device."""
    on_device = jax.device_put(args, device)
    jax.block_until_ready(jax.tree.map(jnp.asarray, on_device))
    return lambda: program(*on_device)
