"""The nodes of a Ray cluster, and the workers that fit on them: one per device, or one with all devices of a node."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lanes.errors import RequestError

KINDS = ("TPU", "GPU", "CPU")  # as Ray calls them, what is preferred first


@dataclasses.dataclass(frozen=True)
class Seat:
    """Where a worker goes.

    Attributes:
        node, host: of the cluster.
        kind: of the devices, as Ray calls them.
        devices: how many.
    """

    node: str
    host: str
    kind: str
    devices: int


def seats(nodes: Sequence[Mapping[str, Any]], devices: int | None, mapping: str, cpu_only: bool = False) -> list[Seat]:
    """The workers that the nodes have room for, on the best kind of device that there is.

    Args:
        nodes: as `ray.nodes()` lists them.
        devices: of each worker; None is one GPU where packs need no more (`local`), or else all devices of a node.
        mapping: of packs onto devices.
        cpu_only: whether JAX is set to use no other devices.

    Raises RequestError where no node has so many.
    """
    alive = [node for node in nodes if node["Alive"]]
    kinds = ("CPU",) if cpu_only else KINDS
    kind = next((kind for kind in kinds if any(_count(node, kind) for node in alive)), None)
    if kind is None:
        raise RequestError(
            f"the cluster has {len(alive)} nodes and no device on any of them: add one with CPUs or GPUs"
        )
    if devices is None and kind == "GPU" and mapping == "local":
        devices = 1
    found = []
    for node in alive:
        count = _count(node, kind)
        each = count if devices is None or (kind == "TPU" and devices <= count) else devices
        host = str(node["NodeManagerHostname"])
        found += [Seat(node["NodeID"], host, kind, each)] * (count // each if each else 0)
    if not found:
        most = max(_count(node, kind) for node in alive)
        raise RequestError(
            f"--devices is {devices}: with --cluster it is the number of devices of each worker, and the cluster's nodes have "
            f"{most} ({kind}) at most; choose 1 to {most}"
        )
    return found


def _count(node: Mapping[str, Any], kind: str) -> int:
    return int(node["Resources"].get(kind, 0))
