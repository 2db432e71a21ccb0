"""`lanes sweep` as one of several processes that run one program."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lanes.errors import ExitStatus, RequestError

if TYPE_CHECKING:
    from lanes.cli.sweep_request import Request
    from lanes.engine.options import Options
    from lanes.engine.requests import Plan
    from lanes.program.hosts import Hosts

JOINING = ("hosts", "coordinator", "process_id", "processes")


def joined(arguments: Any) -> "Hosts":
    """The processes that a command line asks for: this one alone, or all that it has joined.

    Raises RequestError where they cannot be joined, or what else is asked for needs one process.
    """
    from lanes.program.hosts import ALONE

    stated = [name for name in JOINING[1:] if getattr(arguments, name) is not None]
    if not arguments.hosts and not stated:
        return ALONE
    if arguments.hosts and stated:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in stated)
        raise RequestError(
            f"--hosts takes the processes from the launcher, and {names} states them: leave one of them out"
        )
    if arguments.mapping not in ("data", "shard_map"):
        raise RequestError(
            f"--mapping is {arguments.mapping}, and several processes run one program only with --mapping data (a large net) or "
            "shard_map (many runs): write one of them; for packs of their own in each process write --shard"
        )
    if arguments.shard is not None:
        raise RequestError(
            "--shard gives each process packs of its own, and --hosts one program to all: leave one of them out"
        )
    if arguments.cluster is not None:
        raise RequestError(
            "--cluster gives packs to workers, and --hosts one program to all processes: leave one of them out"
        )
    from lanes.cluster.hosts import join

    return join(arguments.coordinator, arguments.process_id, arguments.processes)


@contextlib.contextmanager
def refusing_together(hosts: "Hosts") -> Iterator[None]:
    """End all processes where one of them raises RequestError in the block."""
    if not hosts.several:
        yield
        return
    from lanes.cluster.hosts import leave, refusing

    try:
        with refusing(hosts):
            yield
    except RequestError:
        leave(hosts, ExitStatus.WRONG_REQUEST)
        raise


def run_together(run: Callable[[], int], arguments: Any, request: "Request", plan: "Plan", options: "Options") -> int:
    """The exit status of `run` in process 0, which the others follow, once all agree on what is asked for."""
    from lanes.cluster.hosts import check_shared, compare, leave
    from lanes.cluster.taking_part import follow

    hosts, status = options.hosts, ExitStatus.WRONG_REQUEST
    try:
        compare(hosts, _facts(arguments, request, plan))
        check_shared(hosts, request.out)
        status = ExitStatus.FAILED
        status = ExitStatus(run() if hosts.leads else follow(plan, request.out, options))
    except RequestError:
        status = ExitStatus.WRONG_REQUEST
        raise
    finally:
        leave(hosts, status)
    return status


def _facts(arguments: Any, request: "Request", plan: "Plan") -> dict[str, Any]:
    """What processes of one program must have in common, by name."""
    from lanes.storage import conditions

    options = {
        f"--{name.replace('_', '-')}": str(value)
        for name, value in dataclasses.asdict(arguments).items()
        if name not in JOINING[2:3]
    }
    planned = sorted((member.run_id, str(member.data), member.sharing.text) for member in plan.planned)
    experiment = request.experiment.read_bytes() if request.experiment is not None else b""
    return {
        **conditions.conditions(plan.places),
        **options,
        "experiment": _digest(experiment),
        "runs": _digest(repr([one[0] for one in planned]).encode()),
        "data": _digest(repr([one[1:] for one in planned]).encode()),
    }


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
