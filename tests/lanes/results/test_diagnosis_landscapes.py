"""The loss along lines and over planes of trained runs: as evaluation measures it, with batch statistics of the very weights."""

import dataclasses

import jax
import numpy as np
import pytest
from made_subjects import made_subject
from small_sweeps import OVERLAPPING

from lanes import Run
from lanes.errors import RequestError
from lanes.results.diagnosis_landscapes import LINE, PLANE, evaluated_loss, interpolation, landscape
from nets import GAN, MLP

BASE = Run(data=OVERLAPPING, net=MLP(widths=(4,)), l2=0.1, dropout=0.5, label_smoothing=0.1)


def cross_entropy(subject, params):
    h = np.maximum(
        np.asarray(subject.inputs) @ params["hidden_0"]["dense"]["kernel"] + params["hidden_0"]["dense"]["bias"], 0
    )
    z = h @ params["output"]["kernel"] + params["output"]["bias"]
    z = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -z[np.arange(len(z)), subject.raw[1]].mean()


def test_a_line_joins_the_losses_of_two_runs_without_penalties_and_dropout():
    start, end = made_subject(BASE), made_subject(dataclasses.replace(BASE, seed=1, l2=0.0), "b" * 16, seed=1)
    tables = interpolation([start, end])
    line = tables["interpolation"].set_index("position")["evaluated_loss"]
    assert line.index.tolist() == LINE.tolist()
    for t in (0, 0.5, 1):
        mixed = jax.tree.map(lambda a, b, t=t: (1 - t) * a + t * b, start.params, end.params)
        assert line[t] == pytest.approx(cross_entropy(start, mixed), rel=1e-4)
    barriers = tables["interpolation_barriers"].set_index("run_id")["barrier"]
    between = line.loc[0:1]
    straight = (1 - between.index) * line[0] + between.index * line[1]
    assert barriers.to_dict() == pytest.approx({"a" * 16: 0.0, "b" * 16: (between - straight).max()}, rel=1e-5)


@pytest.mark.slow
def test_a_plane_has_the_run_s_own_loss_at_its_centre():
    subject = made_subject(BASE)
    table = landscape([subject])["landscape"]
    assert len(table) == PLANE.size**2
    (centre,) = table[(table["first"].abs() < 1e-9) & (table["second"].abs() < 1e-9)]["evaluated_loss"]
    assert centre == pytest.approx(cross_entropy(subject, subject.params), rel=1e-4)


def test_batch_statistics_are_those_of_the_examples_at_the_very_weights():
    subject = made_subject(Run(data=OVERLAPPING, net=MLP(widths=(4,), norm="batch_norm")))
    wide = jax.tree.map(lambda leaf: leaf, subject.variables)
    wide["params"]["hidden_0"]["dense"] = jax.tree.map(lambda w: 100 * w, wide["params"]["hidden_0"]["dense"])
    measure = evaluated_loss(subject.model, subject.inputs, subject.targets)
    one, other = float(measure(subject.variables)), float(measure(wide))
    assert one == pytest.approx(other, rel=1e-3)  # which normalization does not see


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (None, "one is selected: select two or more"),
        ({"activation": "tanh"}, "differ in activation, so that no one loss"),
        ({"net": MLP(widths=(5,))}, "differ in net"),
        ({"loss": "hinge"}, "differ in loss"),
    ],
    ids=["one run", "activation", "net", "loss"],
)
def test_runs_without_a_line_between_them_are_refused(changed, words):
    runs = [made_subject(BASE)]
    if changed is not None:
        base = dataclasses.replace(BASE, label_smoothing=0.0)
        runs.append(made_subject(dataclasses.replace(base, **changed), "b" * 16))
    with pytest.raises(RequestError, match=words):
        interpolation(runs)


def test_players_have_no_single_loss():
    run = Run(data=OVERLAPPING, net=GAN(latent=2, widths=(4,)), task="adversarial", loss="squared_error")
    with pytest.raises(RequestError, match="has a loss for each of its players, and no single one"):
        landscape([made_subject(run)])


def test_a_net_without_kernels_has_no_filters_to_scale_by():
    subject = made_subject(BASE)
    without = dataclasses.replace(subject, variables={"params": {"bias": np.ones(3, np.float32)}})
    with pytest.raises(RequestError, match=r"landscape of run a+: no parameter has two axes"):
        landscape([without])
