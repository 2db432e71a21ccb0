"""The devices a sweep trains on, and the four mappings of packs onto them.

`local`: a one-device program, dispatched to each device from the host; no communication, so a lane's numbers do not
depend on the number of devices. `shard_map` and `pmap`: one program over all devices, with the lanes split among them.
`data`: one program over all devices, with every lane's batch split among them: for few runs of a large net.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from lanes.errors import RequestError
from lanes.program import compilation_cache, xla_flags
from lanes.program.over_lanes import splitting_batches

MAPPINGS = ("local", "shard_map", "pmap", "data")
AXIS = "lanes"
# JAX's settings under which programs cannot be compiled, give other numbers, or stop where a run diverges.
DEBUGGING = ("jax_enable_x64", "jax_disable_jit", "jax_debug_nans", "jax_debug_infs")
Tree = Any


def prepare_devices() -> None:
    """Switch on the compilation cache and, if JAX has not started, create one host device per core.

    Other platforms ignore the number of host devices. If JAX is already running (a notebook), its devices are used.

    Raises RequestError for a JAX setting under which programs cannot be compiled or give other numbers, and for a flag
    in XLA_FLAGS that XLA does not know.
    """
    _check_settings()
    compilation_cache.switch_on()
    if jax._src.xla_bridge.backends_are_initialized():
        return
    flags = os.environ.get("XLA_FLAGS", "").split()
    _check_flags(flags)
    if not any("xla_force_host_platform_device_count" in flag for flag in flags):
        jax.config.update("jax_num_cpu_devices", cores())


def _check_settings() -> None:
    for name in DEBUGGING:
        value = jax.config.values[name]
        if value not in (False, None, "allow"):
            raise RequestError(
                f"{name} is {value}: runs are compiled in float32 and may diverge; jax.config.update({name!r}, False) first"
            )


def _check_flags(flags: list[str]) -> None:
    """Raise RequestError for a flag on which XLA would abort this process."""
    wrong = set(flags) - set(xla_flags.accepted(flags)) if flags else ()
    if wrong:
        raise RequestError(
            f"XLA_FLAGS has {' '.join(sorted(wrong))}, which this version of XLA does not accept: leave it out"
        )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def select_devices(count: int | None) -> list[jax.Device]:
    """The first `count` devices, or all.

    Raises RequestError if there are not that many, or none of the platform that JAX is set to.
    """
    try:
        devices = jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # an assertion where the platform's plugin is not installed
        reason = (str(error).strip().splitlines() or ["its plugin is not installed"])[0]
        platforms = jax.config.values["jax_platforms"]
        raise RequestError(
            f"JAX has no device of JAX_PLATFORMS={platforms!r} ({reason}): unset it, or install the platform's JAX"
        ) from None
    if count is None:
        return devices
    if not 1 <= count <= len(devices):
        available = f"there {'is' if len(devices) == 1 else 'are'} {len(devices)} ({devices[0].platform})"
        raise RequestError(f"--devices is {count}: {available}; choose 1 to {len(devices)}")
    return devices[:count]


@dataclasses.dataclass(frozen=True)
class RemoteDevice:
    """A device of another process, as far as planning asks for it.

    Attributes:
        platform, device_kind, id: as JAX has them there.
        free_bytes: memory that was free there; None if unknown.
    """

    platform: str
    device_kind: str
    id: int
    free_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a pack is trained: one device (`local`), or all of them (`shard_map`, `pmap`, `data`)."""

    devices: tuple[Any, ...]  # jax.Device, or RemoteDevice where another process trains
    mapping: str

    @property
    def kind(self) -> str:
        """The device as recorded in results: its kind and, if more than one, the number of devices."""
        kind = self.devices[0].device_kind
        return f"{kind} x{len(self.devices)}" if len(self.devices) > 1 else kind

    @property
    def shards(self) -> int:
        """Number of parts that a pack's lanes are split into."""
        return 1 if self.mapping == "data" else len(self.devices)

    @property
    def first(self) -> "Place":
        """The device where lanes are initialized, under every mapping: the first, or on a CPU the first of the process.

        So places on the host devices of a CPU share the programs that run there.
        """
        device = self.devices[0]
        return Place((jax.local_devices(backend="cpu")[0] if device.platform == "cpu" else device,), "local")

    def shared(self, tree: Tree) -> Tree:
        """Put a tree that all lanes share (data, orders) on the device or devices."""
        return jax.device_put(tree, self._sharding(PartitionSpec()))

    def split(self, tree: Tree) -> Tree:
        """Put lanes [P, …] on the device or devices."""
        return jax.device_put(tree, self._sharding(self._of_lanes()))

    def like(self, tree: Tree, split: bool) -> Tree:
        """The shapes of a tree with the sharding of `split` or `shared`: enough to compile for."""
        sharding = self._sharding(self._of_lanes() if split else PartitionSpec())
        if self.mapping == "local":
            sharding = SingleDeviceSharding(sharding)

        def shape(leaf: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype), sharding=sharding)

        return jax.tree.map(shape, tree)

    def _of_lanes(self) -> PartitionSpec:
        return PartitionSpec() if self.mapping == "data" else PartitionSpec(AXIS)

    def _sharding(self, spec: PartitionSpec) -> Any:
        return self.devices[0] if self.mapping == "local" else NamedSharding(self._mesh(), spec)

    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (AXIS,))

    def jitted(self, function: Callable, split: int, count: int) -> Callable:
        """`function(*lanes [P, …], *shared) -> lanes [P, …]` for this mapping, not yet compiled.

        The first `split` of its `count` arguments are lanes.
        """
        if self.mapping == "local":
            return jax.jit(function)
        if self.mapping == "data":
            whole = NamedSharding(self._mesh(), PartitionSpec())
            return jax.jit(splitting_batches(function, self._sharding(PartitionSpec(AXIS))), out_shardings=whole)
        if self.mapping == "pmap":
            return self._pmapped(function, split, count)
        specs = (PartitionSpec(AXIS),) * split + (PartitionSpec(),) * (count - split)
        mapped = jax.shard_map(
            function, mesh=self._mesh(), in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False
        )
        return jax.jit(mapped)

    def _pmapped(self, function: Callable, split: int, count: int) -> Callable:
        """The same with `jax.pmap`: lanes [P, …] are folded to [devices, P / devices, …] around the call."""
        axes = (0,) * split + (None,) * (count - split)
        mapped = jax.pmap(function, axis_name=AXIS, in_axes=axes, devices=self.devices)
        fold = jax.jit(lambda tree: jax.tree.map(lambda x: x.reshape(self.shards, -1, *x.shape[1:]), tree))
        unfold = jax.jit(lambda tree: jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree))

        def call(*args: Any) -> Any:
            return unfold(mapped(*(fold(tree) for tree in args[:split]), *args[split:]))

        return call


def make_places(devices: list[jax.Device], mapping: str) -> list[Place]:
    """One place for each device (`local`), or one of all devices.

    Raises RequestError for an unknown mapping.
    """
    if mapping not in MAPPINGS:
        raise RequestError(f"--mapping is {mapping!r}: it must be one of {', '.join(MAPPINGS)}")
    if mapping == "local":
        return [Place((device,), mapping) for device in devices]
    return [Place(tuple(devices), mapping)]
