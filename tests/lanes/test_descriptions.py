"""Kinds with parameters: identity, JSON and back, dotted paths, columns, traced numbers."""

import dataclasses
import functools
import json
from pathlib import Path

import jax.numpy as jnp
import pytest

from lanes import descriptions
from lanes.errors import RequestError
from lanes.experiment_file import load_module
from lanes.optimizers import OPTIMIZERS, Adam
from lanes.schedules import SCHEDULES, Cosine, Step
from losses import Contractive
from nets import MLP
from nets.activations import ACTIVATIONS, LeakyReLU, Maxout, relu


def cube(z):
    """A user's activation."""
    return z * z * z


def scaled_cube(scale, z):
    """A user's activation with an argument to bind."""
    return scale * z * z * z


@dataclasses.dataclass(frozen=True)
class Inner:
    """A user's description."""

    amount: float = 0.5
    count: int = 2


@dataclasses.dataclass(frozen=True)
class Outer:
    """A description that holds others."""

    inner: Inner = Inner()
    several: tuple[Inner, ...] = (Inner(0.1), Inner(0.2))
    flag: bool = True
    name: str = "a"


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


@pytest.mark.parametrize("value", ROUND_TRIPS, ids=[str(at) for at in range(len(ROUND_TRIPS))])
def test_round_trip_through_json(value):
    back = descriptions.decode(json.loads(json.dumps(descriptions.encode(value))))
    if isinstance(value, functools.partial):
        assert (back.func, back.args, back.keywords) == (value.func, value.args, value.keywords)
    else:
        assert back == value
        assert type(back) is type(value)


def test_users_code_carries_its_source_and_ours_does_not():
    assert set(descriptions.encode(relu)) == {"symbol"}
    encoded = descriptions.encode(cube)
    assert encoded["symbol"].endswith(":cube")
    assert len(encoded["source"]) == 12
    assert descriptions.encode(Inner())["source"] == descriptions.source_hash(Inner)


def test_changed_source_is_refused():
    encoded = descriptions.encode(cube) | {"source": "0" * 12}
    with pytest.raises(RequestError, match="has changed since the run was described"):
        descriptions.decode(encoded)


def test_missing_symbol_is_refused():
    with pytest.raises(RequestError, match="not to be found"):
        descriptions.decode({"symbol": "nets.activations:no_such"})
    with pytest.raises(RequestError, match="not to be found"):
        descriptions.decode({"symbol": "no.such.module:thing"})


def test_an_experiments_symbols_are_found_in_whatever_file_it_is_loaded_from(tmp_path: Path):
    text = "import dataclasses\n\ndef mine(z):\n    return z\n\n"
    text += "@dataclasses.dataclass(frozen=True)\nclass Kind:\n    a: float = 1.0\n"
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(text + f"# {name}\n")  # other content, so another module
    one, two = load_module(tmp_path / "one.py"), load_module(tmp_path / "two.py")
    assert one is not two
    assert descriptions.encode(one.mine) == descriptions.encode(two.mine)
    assert descriptions.encode(one.mine)["symbol"] == "experiment:mine"
    assert descriptions.decode(descriptions.encode(one.mine), two) is two.mine
    assert descriptions.decode(descriptions.encode(one.Kind(2.0)), two) == two.Kind(2.0)


def test_lambdas_and_closures_have_no_identity():
    def inside(z):
        return z

    with pytest.raises(RequestError, match=r"lambda.*named function at the top"):
        descriptions.check_identity(lambda z: z, "activation")
    with pytest.raises(RequestError, match=r"inside a function.*top level"):
        descriptions.check_identity(inside, "activation")
    with pytest.raises(RequestError, match="lambda"):
        descriptions.check_identity(functools.partial(lambda a, z: a * z, 2.0), "activation")
    descriptions.check_identity(cube, "activation")
    descriptions.check_identity(functools.partial(scaled_cube, 2.0), "activation")


def test_what_is_no_plain_data_cannot_describe_a_run():
    with pytest.raises(RequestError, match="cannot describe a run"):
        descriptions.encode(jnp.zeros(2))
    with pytest.raises(RequestError, match="cannot describe a run"):
        descriptions.encode({"a": 1})


def test_resolve_by_name_function_description_and_not():
    assert descriptions.resolve("leaky_relu", ACTIVATIONS, "activation") == LeakyReLU()
    assert descriptions.resolve(cube, ACTIVATIONS, "activation") is cube
    with pytest.raises(RequestError, match=r"unknown activation 'relo': did you mean 'relu'\? valid: "):
        descriptions.resolve("relo", ACTIVATIONS, "activation")
    with pytest.raises(RequestError, match=r"activation is 3: give a name"):
        descriptions.resolve(3, ACTIVATIONS, "activation")


def test_dotted_paths_reach_in_and_name_the_nearest_field():
    assert descriptions.replace_path(Adam(), "b1", 0.5) == Adam(b1=0.5)
    assert descriptions.replace_path(Outer(), "inner.amount", 2.0).inner == Inner(2.0)
    net = descriptions.replace_path(MLP(widths=(3,)), "widths", (4, 4))
    assert net.widths == (4, 4)
    assert descriptions.get_path(Outer(), "inner.count") == 2
    with pytest.raises(RequestError, match="did you mean 'amount'"):
        descriptions.replace_path(Outer(), "inner.amont", 2.0)
    with pytest.raises(RequestError, match="field of Outer"):
        descriptions.replace_path(Outer(), "outer", 2.0)
    with pytest.raises(RequestError, match="outputs"):  # the engine's, hidden from the user
        descriptions.replace_path(MLP(), "outputs", 3)


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("1e-3", float, 1e-3),
        ("3", float, 3.0),
        ("true", bool, True),
        ("False", bool, False),
        ("none", int | None, None),
        ("7", int | None, 7),
        ("128,64", tuple[int, ...], (128, 64)),
        ("(128, 64)", tuple[int, ...], (128, 64)),
        ("128", tuple[int, ...], (128,)),
        ("", tuple[int, ...], ()),
        ("0.25,0.5", tuple[float, ...], (0.25, 0.5)),
        (" relu ", str, "relu"),
    ],
)
def test_parse_text(text, annotation, value):
    parsed = descriptions.parse_text(text, annotation, "field")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation"), [("x", int), ("1.5", int), ("x", float), ("2", bool), ("a,b", tuple[int, ...])]
)
def test_parse_text_refuses_other_types(text, annotation):
    with pytest.raises(RequestError, match=r"^net\.widths is .*must be of type "):
        descriptions.parse_text(text, annotation, "net.widths")


def test_display_names_and_columns():
    assert descriptions.display_name(LeakyReLU(), ACTIVATIONS) == "leaky_relu"
    assert descriptions.display_name(LeakyReLU(slope=0.5), ACTIVATIONS) == "leaky_relu"
    assert descriptions.display_name(cube, ACTIVATIONS) == "cube"
    assert descriptions.display_name(Cosine(warmup=3.0), SCHEDULES) == "Cosine"  # two names, neither of them this one
    assert descriptions.columns("optimizer", Adam(b1=0.5), OPTIMIZERS) == {
        "optimizer": "adam",
        "optimizer.b1": 0.5,
        "optimizer.b2": 0.999,
        "optimizer.eps": 1e-8,
    }
    assert descriptions.columns("net", MLP(widths=(3, 4)))["net.widths"] == "3,4"
    assert not {"net.outputs", "net.activation", "net.kernel_init", "net.dropout"} & set(
        descriptions.columns("net", MLP())
    )


def test_floats_are_traced_everything_else_is_static():
    value = Outer(Inner(0.75, 3))
    assert descriptions.traced_numbers("p", value) == {
        "p.inner.amount": 0.75,
        "p.several.0.amount": 0.1,
        "p.several.1.amount": 0.2,
    }
    assert descriptions.traced_numbers("a", Maxout(pieces=3)) == {}
    assert descriptions.traced_numbers("n", MLP(bias=0.5)) == {}  # a net is static, its floats with it
    filled = descriptions.fill("p", value, {"p.inner.amount": 9.0, "p.several.1.amount": 8.0})
    assert filled == Outer(Inner(9.0, 3), (Inner(0.1), Inner(8.0)))
