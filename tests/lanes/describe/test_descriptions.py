"""Descriptions: identity, dotted paths, columns, traced numbers."""

import functools

import pytest
from users_own import Inner, Outer, cube, scaled_cube

from lanes.describe import columns, descriptions
from lanes.errors import RequestError
from lanes.recipe.optimizers import OPTIMIZERS, Adam
from lanes.recipe.schedules import SCHEDULES, Cosine
from nets import MLP
from nets.activations import ACTIVATIONS, LeakyReLU, Maxout


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


def test_names_functions_and_descriptions_are_resolved():
    assert descriptions.resolve("leaky_relu", ACTIVATIONS, "activation") == LeakyReLU()
    assert descriptions.resolve(cube, ACTIVATIONS, "activation") is cube
    with pytest.raises(RequestError, match=r"unknown activation 'relo': did you mean 'relu'\? valid: "):
        descriptions.resolve("relo", ACTIVATIONS, "activation")
    with pytest.raises(RequestError, match=r"activation is 3: give a name"):
        descriptions.resolve(3, ACTIVATIONS, "activation")


def test_dotted_paths_change_inner_fields_and_errors_suggest_the_nearest():
    assert descriptions.replace_path(Adam(), "b1", 0.5) == Adam(b1=0.5)
    assert descriptions.replace_path(Outer(), "inner.amount", 2.0).inner == Inner(2.0)
    net = descriptions.replace_path(MLP(widths=(3,)), "widths", (4, 4))
    assert net.widths == (4, 4)
    with pytest.raises(RequestError, match="did you mean 'amount'"):
        descriptions.replace_path(Outer(), "inner.amont", 2.0)
    with pytest.raises(RequestError, match="field of Outer"):
        descriptions.replace_path(Outer(), "outer", 2.0)
    with pytest.raises(RequestError, match="outputs"):  # a field that the engine fills
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
    assert columns.display_name(LeakyReLU(), ACTIVATIONS) == "leaky_relu"
    assert columns.display_name(LeakyReLU(slope=0.5), ACTIVATIONS) == "leaky_relu"
    assert columns.display_name(cube, ACTIVATIONS) == "cube"
    assert columns.display_name(Cosine(warmup=3.0), SCHEDULES) == "Cosine"  # the type has two names in the table
    assert columns.columns("optimizer", Adam(b1=0.5), OPTIMIZERS) == {
        "optimizer": "adam",
        "optimizer.b1": 0.5,
        "optimizer.b2": 0.999,
        "optimizer.eps": 1e-8,
    }
    assert columns.columns("net", MLP(widths=(3, 4)))["net.widths"] == "3,4"
    assert not {"net.outputs", "net.activation", "net.kernel_init", "net.dropout"} & set(columns.columns("net", MLP()))


def test_floats_are_traced_and_everything_else_is_static():
    value = Outer(Inner(0.75, 3))
    assert descriptions.traced_numbers("p", value) == {
        "p.inner.amount": 0.75,
        "p.several.0.amount": 0.1,
        "p.several.1.amount": 0.2,
    }
    assert descriptions.traced_numbers("a", Maxout(pieces=3)) == {}
    assert descriptions.traced_numbers("n", MLP(bias=0.5)) == {}  # a net is static, including its floats
    filled = descriptions.fill("p", value, {"p.inner.amount": 9.0, "p.several.1.amount": 8.0})
    assert filled == Outer(Inner(9.0, 3), (Inner(0.1), Inner(8.0)))
