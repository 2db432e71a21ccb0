"""XLA's flags and compiler options: which ones the installed XLA knows."""

import os

import jax
import jax.numpy as jnp
import pytest

from lanes.engine.fresh_lanes import cheap_to_compile
from lanes.program import xla_flags
from lanes.program.compiled import Compiled
from lanes.program.places import Place

KNOWN, UNKNOWN = "--xla_backend_optimization_level=1", "--xla_no_such_flag=1"
HERE = Place((jax.devices()[0],), "local")


def test_unknown_flags_are_left_out():
    before = os.environ["XLA_FLAGS"]
    assert xla_flags.accepted([KNOWN]) == [KNOWN]
    assert xla_flags.accepted([UNKNOWN, KNOWN, "--xla_backend_optimization_level=high"]) == [KNOWN]
    assert xla_flags.accepted([]) == []
    assert os.environ["XLA_FLAGS"] == before


def test_the_flags_of_the_tests_are_accepted():
    flags = os.environ["XLA_FLAGS"].split()
    assert xla_flags.accepted(flags) == flags


def test_an_xla_that_fails_without_flags_is_an_error(monkeypatch):
    monkeypatch.setattr(xla_flags, "READING", "import sys; sys.exit('gone')")
    with pytest.raises(RuntimeError, match=r"^XLA's flags cannot be checked, as it fails without any: gone$"):
        xla_flags.accepted([KNOWN])


def test_unknown_compiler_options_are_left_out():
    options = {"xla_no_such_option": 1, "xla_backend_optimization_level": 1}
    assert xla_flags.known_options(HERE.devices[0], options) == {"xla_backend_optimization_level": 1}
    assert xla_flags.known_options(HERE.devices[0], {"xla_backend_optimization_level": "high"}) == {}


@pytest.mark.parametrize("repetitive", [False, True])
def test_options_for_programs_that_run_once_are_accepted(repetitive):
    options = cheap_to_compile(HERE, repetitive)
    known = xla_flags.known_options(HERE.devices[0], options)
    assert known.items() <= options.items()
    assert options.keys() - known.keys() <= {"xla_cpu_use_fusion_emitters"}  # jaxlib 0.11 lacks it


def test_a_program_compiles_without_unknown_options():
    x = HERE.split(jnp.ones(2))
    program = Compiled().get(("double",), HERE, lambda x: 2 * x, 1, (x,), xla_no_such_option=True)
    assert program(x).tolist() == [2, 2]
