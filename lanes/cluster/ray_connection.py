"""Connecting to a Ray cluster, or starting Ray on this machine, without Ray's own lines on the terminal."""

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from lanes.errors import RequestError
from lanes.program.places import cores

LOCAL, AUTO = "ray", "auto"
ADDRESS = re.compile(r"ray://(?P<host>[^/:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
STORE_BYTES = 256 << 20  # Ray's shared memory on this machine, if it is started here; it spills to the disk
CONNECT_SECONDS = 5.0


def check_address(text: str) -> None:
    """Raise RequestError for what is no address of a cluster."""
    if text not in (LOCAL, AUTO) and not ADDRESS.fullmatch(text):
        raise RequestError(
            f"--cluster is {text!r}: write auto (the Ray cluster that this machine is in, or that RAY_ADDRESS names), "
            "ray://HOST:10001, or ray (Ray on this machine alone)"
        )


def imported(address: str) -> ModuleType:
    """The package `ray`, for an address. Raises RequestError if it is not installed."""
    _set_token(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without it Ray warns of what it will change
    try:
        import ray
    except ImportError as error:
        raise RequestError(f"--cluster needs Ray ({error}): pip install -e '.[cluster]'") from None
    return ray


def connect(ray: ModuleType, address: str) -> None:
    """Connect to a cluster, or start Ray here. Raises RequestError if there is none."""
    if (match := ADDRESS.fullmatch(address)) is not None:
        _check_answers(address, match["host"].strip("[]"), int(match["port"]))
    named = re.fullmatch(r"([^/]+):([0-9]{1,5})", os.environ.get("RAY_ADDRESS", ""))
    if address == AUTO and named:
        _check_answers(f"RAY_ADDRESS={named[0]}", named[1].strip("[]"), int(named[2]))
    about: dict[str, Any] = {"address": address}
    if address == LOCAL:
        about = {
            "address": "local",
            "num_cpus": cores(),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
    with _signals_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ray.init(**about, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            raise RequestError(_refusal(address, error)) from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)


def _refusal(address: str, error: Exception) -> str:
    """Why there is no connection, and what to do."""
    if address == AUTO and isinstance(error, ConnectionError):
        named = os.environ.get("RAY_ADDRESS")
        where = f"at RAY_ADDRESS={named}" if named else "on this machine, and RAY_ADDRESS is not set"
        return (
            f"--cluster auto: no Ray cluster answers {where}: start one with `ray start --head`, or give ray://HOST:10001; if "
            "it asks for a token, set RAY_AUTH_MODE=token"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:4])[:400] or type(error).__name__
    return f"--cluster {address}: no connection to Ray ({said}); if it asks for a token, set RAY_AUTH_MODE=token"


def _set_token(address: str) -> None:
    """Have a Ray that is started here ask for a token, unless the user has set another way.

    It is of this command alone: Ray would write one to the home folder, and ask for it from then on.
    """
    if address == LOCAL and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def _check_answers(name: str, host: str, port: int) -> None:
    """Raise RequestError if nothing listens there: Ray itself would try for a minute."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"--cluster: no Ray cluster answers at {name} ({reason}): check host and port (10001 for ray://), and that it runs"
        ) from None


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread
            for number, handler in kept.items():
                signal.signal(number, handler)


def said(error: BaseException) -> str:
    """The line of an error of Ray that says what happened."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {cause}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"Error|died|node|memory|killed", line)]
    return (telling or lines or [type(error).__name__])[-1][:300]
