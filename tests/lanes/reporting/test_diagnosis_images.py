"""Pictures of diagnoses from tables alone: images, colours, series, vectors, volumes, broken numbers; one per run."""

import io

import numpy as np
import pandas as pd
import pytest

from lanes.reporting import diagnosis_images, diagnosis_maps
from lanes.reporting.diagnosis_panels import Row, panels

RNG = np.random.default_rng(0)
SHAPES = [(8, 8, 1), (6, 7, 3), (5, 5, 2), (12, 2), (9,), (4, 5, 6, 1)]
IDS = ["grey", "colours", "two channels", "series", "vectors", "volumes"]


def table(shape, count=8, run="a" * 16, **columns):
    values = [RNG.normal(size=shape).reshape(-1).tolist() for _ in range(count)]
    own = {"run_id": run, "shape": [list(shape)] * count, "values": values}
    return pd.DataFrame({**own, **columns, "seed": 0, "net": "mlp"})


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_saliency_is_drawn_in_the_form_of_the_inputs(shape):
    rows = table(shape, target=list("01234567"), name="3", unit=3, score=1.0)
    rows["gradient"], rows["integrated_gradient"] = rows["values"], rows["values"]
    (figure,) = diagnosis_images.saliency({"saliency": rows}).values()
    assert "(the target in parentheses)" in figure.get_suptitle()
    assert len(shape) < 3 or len(png(figure)) < 150_000


@pytest.mark.parametrize("shape", SHAPES[:4], ids=IDS[:4])
def test_filters_say_how_many_are_drawn(shape):
    rows = table(shape, 60, filter=range(60), norm=1.0)
    (figure,) = diagnosis_images.filters({"filters": rows}).values()
    assert f"the {48 if len(shape) == 3 else 18} largest of 60" in figure.get_suptitle()


def test_each_run_has_a_picture_of_its_own_up_to_eight():
    rows = pd.concat([table((4, 4, 1), 2, run=f"{n:016x}"[::-1], filter=[0, 1], norm=1.0) for n in range(10)])
    assert list(diagnosis_images.filters({"filters": rows})) == [f"filters_{n:x}0000000" for n in range(8)]


def test_a_scale_is_symmetric_about_0_and_lost_numbers_stand_out():
    images = [np.array([[[-1.0], [0.0]]]), np.array([[[np.nan], [2.0]]])]
    (drawn,) = panels([Row(images, signed=True)], ("title", "run")).axes[0].images
    canvas = drawn.get_array()
    np.testing.assert_allclose(canvas[1, 1], [0.966, 0.97, 0.971], atol=0.01)  # 0 is white
    np.testing.assert_allclose(canvas[1, 3], [1.0, 0.9, 0.2])  # NaN is yellow
    assert canvas[1, 0, 2] > canvas[1, 0, 0]  # below 0 is blue
    assert canvas[1, 4, 0] > canvas[1, 4, 2]  # above is red


def test_constant_and_empty_numbers_have_pictures():
    for values in ([0.0] * 4, [np.nan] * 4):
        png(panels([Row([np.reshape(values, (2, 2, 1))])], ("title", "run")))


def test_a_corruption_is_drawn_only_where_there_is_one():
    rows = table((4, 4, 1), error=1.0, mean_error=2.0, example=range(8))
    rows["seen"] = rows["reconstruction"] = rows["values"]
    for changed, labels in (
        (False, ["input", "recon-\nstruction"]),
        (True, ["input", "corrupted", "recon-\nstruction"]),
    ):
        if changed:
            rows["seen"] = table((4, 4, 1))["values"]
        (figure,) = diagnosis_images.reconstructions({"reconstructions": rows}).values()
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == labels


@pytest.mark.parametrize("kind", ["finite", "wide", "constant", "lost", "partly lost"])
def test_a_landscape_is_drawn_whatever_its_losses_are(kind):
    axis = np.linspace(-1, 1, 5)
    a, b = np.meshgrid(axis, axis)
    losses = {"finite": a**2 + b**2, "wide": np.exp(9 * (a**2 + b**2)), "constant": 0 * a, "lost": np.nan * a}
    values = losses.get(kind, np.where(a > 0, np.inf, a**2))
    rows = pd.DataFrame({"run_id": "a" * 16, "first": a.ravel(), "second": b.ravel(), "evaluated_loss": values.ravel()})
    (figure,) = diagnosis_maps.landscape({"landscape": rows.assign(seed=0)}).values()
    assert kind != "wide" or len(png(figure)) < 150_000


def test_lines_between_runs_name_both_ends():
    t = np.linspace(-0.5, 1.5, 5)
    rows = pd.DataFrame({"run_id": "b" * 16, "start_run_id": "a" * 16, "position": t, "evaluated_loss": 1 + t})
    barriers = pd.DataFrame(
        {"run_id": ["a" * 16, "b" * 16], "start_run_id": "a" * 16, "barrier": [0.0, 0.25], "seed": [0, 1]}
    )
    (figure,) = diagnosis_maps.interpolation({"interpolation": rows, "interpolation_barriers": barriers}).values()
    assert "from seed=0" in figure.get_suptitle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["to seed=1: barrier 0.25"]


@pytest.mark.parametrize("targets", [list("0123"), [f"{n / 7:.4g}" for n in range(40)]], ids=["classes", "numbers"])
@pytest.mark.parametrize("numbers", [1, 2])
def test_maps_of_one_and_two_numbers(targets, numbers):
    columns = {"run_id": "a" * 16, "target": targets, "projected": False, "seed": 0}
    for name in ("first", "second")[:numbers]:
        columns |= {name: RNG.normal(size=len(targets)), f"{name}_share": 0.5}
    (figure,) = diagnosis_maps.latent_map({"latent_map": pd.DataFrame(columns)}).values()
    assert figure.axes[0].get_ylabel() == ("target" if numbers == 1 else "z1")


@pytest.mark.parametrize(("classes", "probability"), [(2, 0.9), (25, np.nan)])
def test_regions_count_the_examples_on_the_wrong_side(classes, probability):
    axis = np.linspace(0, 1, 6)
    x, y = np.meshgrid(axis, axis)
    grid = pd.DataFrame({"run_id": "a" * 16, "x": x.ravel(), "y": y.ravel(), "class": np.arange(36) % classes})
    examples = pd.DataFrame(
        {"run_id": "a" * 16, "x": [0.1, 0.2], "y": [0.3, 0.4], "target": [0, 1], "predicted": [0, 0]}
    )
    tables = {
        "decision_regions": grid.assign(probability=probability, seed=0),
        "decision_region_examples": examples.assign(name=["no", "yes"]),
    }
    (figure,) = diagnosis_maps.decision_regions(tables).values()
    assert "1 of 2 examples on the wrong side" in figure.get_suptitle().replace("\n", " ")
    assert len(png(figure)) < 150_000
