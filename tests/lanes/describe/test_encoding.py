"""Values as JSON and back: public names for this project and its libraries; module, name and version for user code."""

import functools
import importlib.util
import inspect
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest
from users_own import Inner, Outer, cube, scaled_cube

from lanes import TFDS, Encoded, Run
from lanes.describe import encoding, identity, runs
from lanes.describe.experiment_files import load_module
from lanes.describe.versions import Versions
from lanes.errors import RequestError
from lanes.recipe.optimizers import Adam
from lanes.recipe.schedules import Step
from losses import Contractive, Huber
from nets import MLP, Uniform
from nets.activations import LeakyReLU, PReLULayer, relu

ROUND_TRIPS = [
    None,
    3,
    0.1,
    "text",
    True,
    (1, 2.5, "x", (None,)),
    relu,
    cube,
    functools.partial(scaled_cube, 2.0),
    functools.partial(scaled_cube, scale=Inner(0.25)),
    LeakyReLU(slope=0.3),
    Outer(Inner(0.75, 3), (), False, "b"),
    Adam(b1=0.95),
    Step(at=(0.25, 0.5), factor=0.2),
    MLP(widths=(7, 5), norm="batch_norm"),
    (Contractive(0.01), Inner()),
]


@pytest.mark.parametrize("value", ROUND_TRIPS, ids=[str(index) for index in range(len(ROUND_TRIPS))])
def test_round_trip_through_json(value):
    back = encoding.decode(json.loads(json.dumps(encoding.encode(value))))
    if isinstance(value, functools.partial):
        assert (back.func, back.args, back.keywords) == (value.func, value.args, value.keywords)
    else:
        assert back == value
        assert type(back) is type(value)


def test_user_code_is_encoded_with_its_version_and_built_in_code_without():
    assert set(encoding.encode(relu)) == {"symbol"}
    encoded = encoding.encode(cube)
    assert encoded["symbol"].endswith(":cube")
    assert len(encoded["version"]) == 16
    assert encoding.encode(Inner())["version"] == Versions().of(Inner)


def test_another_version_is_refused():
    encoded = encoding.encode(cube) | {"version": "0" * 16}
    with pytest.raises(RequestError, match="has changed since the run was described"):
        encoding.decode(encoded)


def test_missing_symbol_is_refused():
    with pytest.raises(RequestError, match="cannot be found"):
        encoding.decode({"symbol": "nets:no_such"})
    with pytest.raises(RequestError, match="cannot be found"):
        encoding.decode({"symbol": "no.such.module:thing"})


def test_symbols_of_an_experiment_do_not_depend_on_its_path(tmp_path: Path):
    text = "import dataclasses\n\ndef mine(z):\n    return z\n\n"
    text += "@dataclasses.dataclass(frozen=True)\nclass Kind:\n    a: float = 1.0\n"
    for name in ("first.py", "second.py"):
        (tmp_path / name).write_text(text + f"# {name}\n")  # different content makes another module
    first, second = load_module(tmp_path / "first.py"), load_module(tmp_path / "second.py")
    assert first is not second
    assert encoding.encode(first.mine) == encoding.encode(second.mine)
    assert encoding.encode(first.mine)["symbol"] == "experiment:mine"
    assert encoding.decode(encoding.encode(first.mine), second) is second.mine
    assert encoding.decode(encoding.encode(first.Kind(2.0)), second) == second.Kind(2.0)


def test_arrays_and_mappings_cannot_describe_a_run():
    with pytest.raises(RequestError, match="cannot describe a run"):
        encoding.encode(jnp.zeros(2))
    with pytest.raises(RequestError, match="cannot describe a run"):
        encoding.encode({"a": 1})


def test_every_entry_of_a_table_has_a_public_name():
    entries = [entry for table in runs.TABLES.values() for entry in table.values()]
    for entry in [*entries, TFDS("mnist"), Encoded("runs/a:0123"), Huber(), Uniform(0.1)]:
        package, _, name = encoding.encode(entry)["symbol"].partition(":")
        assert package in ("lanes", "nets", "losses"), name


def test_names_that_are_not_public_are_refused():
    with pytest.raises(
        RequestError, match=r"PReLULayer of nets\.\w+ is not public: use what lanes, nets and losses export"
    ):
        encoding.encode(PReLULayer)


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (jax.nn.relu, "jax.nn:relu"),
        (jnp.tanh, "jax.nn:tanh"),
        (jax.lax.erf, "jax.lax:erf"),
        (optax.safe_norm, "optax:safe_norm"),
    ],
)
def test_library_objects_are_encoded_by_the_shortest_public_package(thing, name):
    assert encoding.encode(thing) == {"symbol": name}
    assert encoding.decode({"symbol": name}) is thing


def test_objects_that_no_public_package_exports_are_encoded_by_module_and_name():
    encoded = encoding.encode(jax._src.nn.functions.relu6.__wrapped__)
    assert encoded["symbol"] == "jax._src.nn.functions:relu6"
    with pytest.raises(RequestError, match="cannot be found"):
        encoding.decode({"symbol": "jax._src.nn.functions:relu"})


@pytest.fixture
def forgotten_names(monkeypatch):
    """Clear the cache of public names before and after the test."""
    with monkeypatch.context() as patch:
        encoding.public_name.cache_clear()
        yield patch
    encoding.public_name.cache_clear()


def test_moving_a_description_to_another_file_keeps_the_run_id(forgotten_names):
    before = identity.run_id(Run(optimizer=Adam(b1=0.5)))
    spec = importlib.util.spec_from_file_location("lanes.elsewhere.optimizers", inspect.getsourcefile(Adam))
    moved = importlib.util.module_from_spec(spec)
    forgotten_names.setitem(sys.modules, spec.name, moved)
    spec.loader.exec_module(moved)
    forgotten_names.setattr("lanes.Adam", moved.Adam)
    assert moved.Adam.__module__ == "lanes.elsewhere.optimizers"
    assert identity.run_id(Run(optimizer=moved.Adam(b1=0.5))) == before


def test_renamed_private_modules_of_jax_and_optax_keep_the_run_id(forgotten_names):
    run = Run(activation=jax.nn.relu6, loss=optax.huber_loss)
    before = identity.run_id(run)
    encoding.public_name.cache_clear()
    for thing in (jax.nn.relu6, optax.huber_loss):
        forgotten_names.setattr(thing, "__module__", f"{thing.__module__.split('.')[0]}._private.elsewhere")
    assert identity.run_id(run) == before
