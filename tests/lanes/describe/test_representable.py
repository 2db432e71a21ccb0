"""Numbers are checked as the float32 and int32 that programs take."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import GOOD

from lanes import EMA, Adam, Blobs, Cosine, Run, Warmup
from lanes.describe import checks
from lanes.describe.representable import check_length, check_numbers
from lanes.describe.runs import numbers, resolve
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from nets import MLP


def refusal(**fields):
    with pytest.raises(RequestError) as caught:
        checks.resolved(dataclasses.replace(GOOD, **fields))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"average": EMA(0.99999999)}, "as float32, "),
        ({"optimizer": Adam(b1=0.99999999)}, "as float32, "),
        ({"optimizer": Adam(b2=1 - 1e-9)}, "as float32, "),
        ({"optimizer": Adam(eps=1e-50)}, "optimizer.eps is 1e-50, which is 0 as float32"),
        ({"dropout": 0.99999999}, "as float32, dropout is 1.0"),
        ({"label_smoothing": 0.99999999}, "as float32, label_smoothing is 1.0"),
        ({"learning_rate": 1e-50}, "learning_rate is 1e-50, which is 0 as float32"),
        ({"learning_rate": 1e-40}, "which is 0 as float32"),
        ({"learning_rate": 1e39}, "which float32 cannot hold"),
        ({"l2": 1e-50}, "l2 is 1e-50, which is 0 as float32"),
        ({"clip": 1e300}, "which float32 cannot hold"),
        ({"patience": 2**31}, "patience is 2147483648: programs count in 32 bits"),
        ({"eval_every": 2**31}, "eval_every is 2147483648"),
        ({"epochs": 2**31}, "epochs is 2147483648"),
        ({"steps": 2**40}, "steps is 1099511627776"),
        ({"schedule": Warmup(warmup=1e39)}, "schedule.warmup is 1e+39, which float32 cannot hold"),
    ],
    ids=str,
)
def test_numbers_that_a_program_would_bend_are_refused(fields, words):
    assert words in refusal(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"learning_rate": np.geomspace(1e-3, 1, 7)[-1]},
        {"learning_rate": 1 - 1e-12},
        {"seed": 2**32 - 1},
        {"average": EMA(0.9999999)},
        {"optimizer": Adam(eps=1e-30)},
        {"schedule": Cosine(warmup=3)},
        {"epochs": 2**31 - 1},
        {"steps": 2**31 - 1},
    ],
    ids=str,
)
def test_ordinary_numbers_are_not_refused(fields):
    checks.resolved(dataclasses.replace(GOOD, **fields))


def test_what_passes_is_what_float32_keeps():
    run = check_numbers(resolve(dataclasses.replace(GOOD, learning_rate=1 - 1e-12)))
    for path, value in numbers(run).items():
        kept = float(jnp.float32(value))
        assert np.isfinite(kept), path
        assert (kept == 0) == (value == 0), path


@pytest.mark.parametrize("epochs", [2**31 // 2 - 1, 10**9])
def test_a_run_of_two_to_the_31_steps_is_refused_wherever_it_is_in_the_list(epochs):
    run = Run(data=Blobs(n=100), net=MLP(widths=(2,)), batch_size=8, epochs=1)
    per_epoch = 72 // 8  # of the 100 examples, 20 are for testing and 8 for validation
    with pytest.raises(RequestError, match=f"of {per_epoch} steps, .* at most {(2**31 - 1) // per_epoch:,}"):
        make_plan([run, dataclasses.replace(run, epochs=epochs)], Options())
    check_length(dataclasses.replace(run, epochs=(2**31 - 1) // per_epoch), 72)
    check_length(dataclasses.replace(run, epochs=epochs, steps=10), 72)
