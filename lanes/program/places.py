"""The devices a sweep trains on, and the four mappings of packs onto them.

`local`: a one-device program, dispatched to each device from the host; no communication, so a lane's numbers do not
depend on the number of devices. `shard_map` and `pmap`: one program over all devices, with the lanes split among them.
`data`: one program over all devices, with every lane's batch split among them: for few runs of a large net.

The devices of `shard_map` and `data` may belong to several processes (`lanes.program.hosts`). What goes into and comes out of
their programs is then whole on each device, so that every process can read it and process 0 can write it.
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
from lanes.program.hosts import ALONE, Hosts
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


def select_devices(count: int | None, hosts: Hosts = ALONE) -> list[jax.Device]:
    """The first `count` devices, or all; with several processes, of each of them, in the order of the processes.

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
    if count is not None and not 1 <= count <= len(devices):
        available = f"there {'is' if len(devices) == 1 else 'are'} {len(devices)} ({devices[0].platform})"
        raise RequestError(f"--devices is {count}: {available}; choose 1 to {len(devices)}")
    if not hosts.several:
        return devices[:count]
    everywhere = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    by_process = [[one for one in everywhere if one.process_index == index] for index in range(hosts.count)]
    numbers = [len(own[:count]) for own in by_process]
    if len(set(numbers)) > 1 or (count is not None and numbers[0] < count):
        raise RequestError(
            f"the processes have {', '.join(str(len(own)) for own in by_process)} devices: each must use as many as the "
            f"others; set --devices to {min(map(len, by_process))} or less"
        )
    return [device for own in by_process for device in own[:count]]


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
        device = next(one for one in self.devices if one.process_index == jax.process_index())
        return Place((jax.local_devices(backend="cpu")[0] if device.platform == "cpu" else device,), "local")

    @property
    def spans(self) -> bool:
        """Whether the devices belong to several processes."""
        return len({device.process_index for device in self.devices}) > 1

    @property
    def part(self) -> tuple[int, int]:
        """(I, N): which part of each batch's examples this process reads, of how many."""
        processes = sorted({device.process_index for device in self.devices})
        whole = self.mapping != "data" or len(processes) == 1
        return (0, 1) if whole else (processes.index(jax.process_index()), len(processes))

    def shared(self, tree: Tree) -> Tree:
        """Put a tree that all lanes share (data, orders) on the device or devices."""
        return self._put(tree, self._sharding(PartitionSpec()))

    def batches(self, tree: Tree) -> Tree:
        """Put this process's part of streamed batches [k, S, B / N, …] on its devices; on one process, as `shared`."""
        if self.part[1] == 1:
            return self.shared(tree)
        sharding = self._sharding(PartitionSpec(None, None, AXIS))
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, leaf), tree)

    def split(self, tree: Tree) -> Tree:
        """Put lanes [P, …] on the device or devices."""
        return self._put(tree, self._sharding(self._of_lanes()))

    def _put(self, tree: Tree, sharding: Any) -> Tree:
        if not self.spans:
            return jax.device_put(tree, sharding)

        def put(leaf: Any) -> jax.Array:
            array = np.asarray(leaf)
            return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

        return jax.tree.map(put, tree)

    def like(self, tree: Tree, split: bool) -> Tree:
        """The shapes of a tree with the sharding of `split` or `shared`: enough to compile for."""
        sharding = self._sharding(self._of_lanes() if split else PartitionSpec())
        if self.mapping == "local":
            sharding = SingleDeviceSharding(sharding)

        def shape(leaf: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype), sharding=sharding)

        return jax.tree.map(shape, tree)

    def _of_lanes(self) -> PartitionSpec:
        return PartitionSpec() if self.mapping == "data" or self.spans else PartitionSpec(AXIS)

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
        return jax.jit(mapped, out_shardings=self._sharding(PartitionSpec())) if self.spans else jax.jit(mapped)

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

    Raises RequestError for an unknown mapping, and for one that cannot use the devices of several processes.
    """
    if mapping not in MAPPINGS:
        raise RequestError(f"--mapping is {mapping!r}: it must be one of {', '.join(MAPPINGS)}")
    if mapping in ("local", "pmap") and len({device.process_index for device in devices}) > 1:
        raise RequestError(
            f"--mapping is {mapping}, which uses the devices of one process, and there are several: write --mapping data (a "
            "large net) or shard_map (many runs in one program); for packs of their own on each host write --shard"
        )
    if mapping == "local":
        return [Place((device,), mapping) for device in devices]
    return [Place(tuple(devices), mapping)]
