"""Wrong requests are refused before anything starts, in one line with the value, the rule and the remedy."""

import dataclasses
import math
import re

import flax.linen as nn
import jax
import numpy as np
import pytest
from small_sweeps import GOOD

from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.recipe.averages import EMA
from lanes.recipe.optimizers import LBFGS, SGD, Adam, AdamW
from lanes.recipe.schedules import Cosine
from losses import L1, Contractive
from nets import MLP, LeNet5
from nets.activations import LeakyReLU


class Plain(nn.Module):
    """A user's net without a field dropout."""

    outputs: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # noqa: ARG002
        return nn.Dense(self.outputs)(x)


class Broken(Plain):
    """A user's net that cannot be built."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # noqa: ARG002
        return nn.Dense(self.outputs)(x.reshape(3, 3))


def refusal(**fields) -> str:
    with pytest.raises(RequestError) as caught:
        make_plan([GOOD, dataclasses.replace(GOOD, **fields)], Options())
    message = str(caught.value)
    assert "\n" not in message, message
    return message


def test_the_good_run_is_accepted():
    plan = make_plan([GOOD, GOOD], Options())
    assert len(plan.planned) == 1  # equal runs are planned once
    assert plan.parameters(plan.planned[0].signature) == (2 * 4 + 4) + (4 * 2 + 2)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("learning_rate", 0.0, "must be above 0"),
        ("learning_rate", -1e-3, "must be above 0"),
        ("learning_rate", math.nan, "finite"),
        ("learning_rate", math.inf, "finite"),
        ("learning_rate", "0.1", "of type str"),
        ("learning_rate", None, "of type NoneType"),
        ("learning_rate", True, "of type bool"),
        ("init_scale", -1.0, "at least 0"),
        ("momentum", 1.0, r"in \[0, 1\)"),
        ("batch_size", 0, "at least 1"),
        ("batch_size", 8.5, "must be int"),
        ("batch_size", 1000, "has 86 training examples"),
        ("epochs", 0, "at least 1"),
        ("epochs", 1.5, "must be int"),
        ("steps", 0, "at least 1, or None"),
        ("eval_every", 0, "at least 1"),
        ("seed", -1, "0 to 2"),
        ("seed", 2**32, "0 to 2"),
        ("seed", 0.5, "must be int"),
        ("l1", -1e-3, "at least 0"),
        ("l2", -1e-3, "at least 0"),
        ("l2", math.nan, "finite"),
        ("weight_decay", -1e-3, "at least 0"),
        ("dropout", 1.0, r"\[0, 1\)"),
        ("dropout", -0.1, r"\[0, 1\)"),
        ("input_noise", -0.1, "at least 0"),
        ("label_smoothing", 1.0, r"\[0, 1\)"),
        ("clip", 0.0, "above 0"),
        ("patience", 0, "at least 1, or None"),
        ("min_delta", -0.1, "at least 0"),
        ("train_examples", 0, "at least 1"),
        ("train_examples", 10**6, "must be from 1 to"),
        ("valid_fraction", 1.0, r"\[0, 1\)"),
        ("valid_fraction", -0.1, r"\[0, 1\)"),
        ("metrics", "accuracy", "must be tuple"),
        ("metrics", ("acuracy",), "unknown metric 'acuracy': did you mean 'accuracy'"),
        ("precision", "float16", "valid: bfloat16, float32"),
        ("matmul_precision", "best", "valid: default"),
        ("penalties", L1(), "must be tuple"),
        ("penalties", (0.1,), "give a name"),
    ],
)
def test_values_out_of_range_or_of_the_wrong_type_are_refused(field, value, rule):
    fields = {field: value, **({"optimizer": "momentum"} if field == "momentum" else {})}
    message = refusal(**fields)
    assert field.rstrip("s") in message  # the message for metrics names one metric
    assert re.search(rule, message), message


@pytest.mark.parametrize(
    ("field", "value", "nearest"),
    [
        ("data", "digit", "digits"),
        ("net", "mpl", "mlp"),
        ("activation", "relo", "relu"),
        ("initializer", "he_norml", "he_normal"),
        ("loss", "softmax_crossentropy", "softmax_cross_entropy"),
        ("output", "sigmod", "sigmoid"),
        ("optimizer", "adm", "adam"),
        ("schedule", "cosin", "cosine"),
        ("rule", "gradent", "gradient"),
        ("task", "clasify", "classify"),
        ("average", "emma", "ema"),
        ("penalties", ("contractve",), "contractive"),
        ("augment", ("miror",), "mirror"),
    ],
)
def test_the_error_for_a_misspelt_name_suggests_the_nearest(field, value, nearest):
    message = refusal(**{field: value})
    assert f"did you mean {nearest!r}?" in message
    assert "valid: " in message


def test_functions_without_identity_are_refused():
    def inside(z):
        return z

    assert "lambda" in refusal(activation=lambda z: z)
    assert "lambda" in refusal(penalties=(lambda params: params,))
    assert "top level" in refusal(activation=inside)
    assert "top level" in refusal(loss=inside)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"l2": 1e-3, "weight_decay": 1e-3}, ("l2", "weight_decay", "set one of them to 0")),
        ({"momentum": 0.9}, ("momentum", "no meaning for Adam")),
        ({"optimizer": Adam(b1=1.5)}, ("b1", "1.5", "[0, 1)")),
        ({"optimizer": LBFGS(), "weight_decay": 1e-3, "batch_size": 96}, ("weight_decay", "lbfgs")),
        ({"schedule": Cosine(final=2.0)}, ("final", "2.0", "[0, 1]")),
        ({"average": EMA(decay=1.0)}, ("decay", "1.0", "[0, 1)")),
        ({"penalties": (Contractive(-1.0),)}, ("strength", "-1.0")),
        ({"activation": LeakyReLU(slope=math.nan)}, ("slope", "nan")),
        ({"loss": "squared_error", "label_smoothing": 0.1}, ("label_smoothing", "set it to 0")),
        ({"output": "sigmoid"}, ("sigmoid", "softmax_cross_entropy")),
        ({"net": MLP(widths=(4,), outputs=3)}, ("sets outputs", "fields of Run")),
        ({"net": MLP(widths=(4,), dropout=0.5)}, ("sets dropout", "fields of Run")),
        ({"net": Plain(), "dropout": 0.1}, ("dropout", "Plain has no field dropout")),
        ({"net": MLP(widths=(0,))}, ("widths",)),
        ({"net": MLP(widths=(4,), norm="batchnorm")}, ("batch_norm",)),
        ({"net": Broken()}, ("Broken", "cannot be built")),
        ({"net": LeNet5()}, ("LeNet5",)),
    ],
)
def test_settings_that_do_not_go_together_are_refused(fields, words):
    message = refusal(**fields)
    for word in words:
        assert word.lower() in message.lower(), message


@pytest.mark.parametrize(
    "fields",
    [
        {"net": MLP},  # a class instead of a net
        {"optimizer": Adam},
        {"optimizer": Adam(b1="0.9")},
        {"schedule": Cosine(warmup=None)},
        {"activation": LeakyReLU(slope="0.1")},
        {"net": LeakyReLU()},
        {"optimizer": LeakyReLU()},
        {"schedule": SGD()},
        {"penalties": (Adam(),)},
        {"init_from": "nowhere:0123"},
        {"augment": ("mixup",), "loss": "hinge"},
    ],
    ids=str,
)
def test_values_of_the_wrong_kind_are_refused(fields):
    refusal(**fields)


def test_lists_without_runs_and_wrong_options_are_refused():
    for requested, match in (([], "no runs"), ([{"seed": 1}], "must return Run objects")):
        with pytest.raises(RequestError, match=match):
            make_plan(requested, Options())
    for options, match in (
        (Options(width=0), "--width is 0"),
        (Options(devices=0), "--devices is 0"),
        (Options(devices=99), "choose 1 to 8"),
        (Options(mapping="vmap"), "--mapping is 'vmap'"),
    ):
        with pytest.raises(RequestError, match=match):
            make_plan([GOOD], options)


def test_numpy_numbers_become_plain():
    run = dataclasses.replace(
        GOOD, learning_rate=np.float32(0.5), seed=np.int64(3), l2=np.float64(0.0), epochs=np.int32(2)
    )
    (planned,) = make_plan([run], Options()).planned
    assert (type(planned.run.learning_rate), type(planned.run.seed), type(planned.run.epochs)) == (float, int, int)
    assert (
        planned.run_id
        == make_plan([dataclasses.replace(GOOD, learning_rate=0.5, seed=3, epochs=2)], Options()).planned[0].run_id
    )


def test_weight_decay_goes_with_adamw_and_l2_with_adam():
    make_plan([dataclasses.replace(GOOD, optimizer=AdamW(), weight_decay=1e-3)], Options())
    make_plan([dataclasses.replace(GOOD, l2=1e-3, weight_decay=0.0)], Options())
