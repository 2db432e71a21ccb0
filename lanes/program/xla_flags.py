"""Which flags and options the installed XLA knows; they come and go, so each is checked before use.

XLA aborts the process on an unknown flag in XLA_FLAGS, and refuses to compile with an unknown compiler option. The two
are checked separately, because some names are valid only as one or the other.
"""

import functools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

READING = "from jaxlib import xla_client; xla_client.CompileOptions()"  # the first options of a process read XLA_FLAGS


def accepted(flags: Sequence[str]) -> list[str]:
    """The flags (`--xla_name=value`) that XLA accepts in XLA_FLAGS.

    A subprocess tries them (0.2 s), because a wrong flag aborts it: all at once, then one by one if that fails. XLA reads
    XLA_FLAGS once, when a process first compiles: set the variable before that.

    Raises RuntimeError if the subprocess fails even without flags.
    """
    if not _refusal(flags):
        return list(flags)
    if message := _refusal([]):
        raise RuntimeError(f"XLA's flags cannot be checked, as it fails without any: {message}")
    return [flag for flag in flags if not _refusal([flag])]


def _refusal(flags: Sequence[str]) -> str:
    """The first line of XLA's complaint about the flags; empty if it accepts them all."""
    environment = {**os.environ, "XLA_FLAGS": " ".join(flags)}
    done = subprocess.run([sys.executable, "-c", READING], env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    return next(iter(done.stderr.splitlines()), f"status {done.returncode}")


def known_options(device: jax.Device, options: Mapping[str, Any]) -> dict[str, Any]:
    """The compiler options that XLA accepts for a device.

    They are tried once per platform on an empty program (about 10 ms): all at once, then one by one if that fails.
    """
    listed = tuple(options.items())
    if not listed or _compiles(device.platform, listed):
        return dict(listed)
    return {name: value for name, value in listed if _compiles(device.platform, ((name, value),))}


@functools.cache
def _compiles(platform: str, options: tuple[tuple[str, Any], ...]) -> bool:
    """Whether an empty program compiles with options."""
    sharding = SingleDeviceSharding(jax.local_devices(backend=platform)[0])
    empty = jax.jit(_nothing, out_shardings=sharding).lower()
    try:
        empty.compile(dict(options))
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _nothing() -> jax.Array:
    return jnp.zeros((), jnp.float32)
