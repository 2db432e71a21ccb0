"""Figures for papers: which there are, what they show, that equal results give equal files, and that any label is drawn."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from made_results import end, made_sweep
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

from lanes.cli import report
from lanes.reporting import static_figures
from lanes.reporting.plotting import PALETTE
from lanes.reporting.static_figures import figures, write_figures
from lanes.reporting.static_style import (
    SEQUENTIAL,
    field_label,
    is_log,
    metric_label,
    rendered,
    set_log,
    short,
)
from lanes.results.leaderboard import leaderboards

GRID = {"activation": ["tanh", "relu"], "learning_rate": [0.001, 0.01, 0.1, 1.0]}
EVIL = "$x_{$ <script>&\n\x1b[31m 50% \\frac 中 \\"


def better(combination):
    """relu is clearly better than tanh, rates hardly differ."""
    return 0.8 - 0.002 * abs(np.log10(combination["learning_rate"]) + 1) + 0.03 * (combination["activation"] == "relu")


def drawn(runs, curves, metric=None):
    """The figures by name."""
    (board,) = leaderboards(runs, metric)
    return {figure.name: figure for figure in figures(board, curves)}


def axes_of(figure):
    """The axes of a figure with what was drawn into them."""
    axes = Figure(figsize=(3.3, figure.height)).add_subplot()
    figure.draw(axes)
    return axes


def labels(ticks):
    return [label.get_text() for label in ticks]


# ---- what there is and what it shows -------------------------------------------------------------------------------


def test_each_message_has_its_figure():
    found = drawn(*made_sweep(GRID, value=better))
    assert list(found) == [
        "leaderboard_valid_accuracy",
        "differences_to_best_valid_accuracy",
        "main_effect_activation",
        "main_effect_learning_rate",
        "importance_valid_accuracy",
        "pair_learning_rate_by_activation",
        "learning_curves_valid_accuracy",
        "learning_curves_batch_loss",
        "single_runs_valid_accuracy",
        "gap_by_train_accuracy",
        "gap_by_activation",
        "gap_by_learning_rate",
    ]
    for figure in found.values():
        axes = axes_of(figure)
        assert axes.get_xlabel()
        assert figure.message.endswith(".")


def test_the_leaderboard_shows_means_with_students_intervals():
    runs, curves = made_sweep(
        {"activation": ["tanh", "relu", "elu"]}, value=lambda c: 0.7 + 0.05 * len(c["activation"])
    )
    axes = axes_of(drawn(runs, curves)["leaderboard_valid_accuracy"])
    grouped = runs.groupby("activation").valid_accuracy
    expected = grouped.mean().sort_values(ascending=False)
    assert labels(axes.get_yticklabels()) == list(expected.index)
    half = grouped.sem() * stats.t.ppf(0.975, 3)
    found = {}
    for bars in axes.containers:
        for x, y in zip(*bars.lines[0].get_data(), strict=True):
            found[expected.index[int(y)]] = x
        for segment in bars.lines[2][0].get_segments():
            name = expected.index[int(segment[0, 1])]
            np.testing.assert_allclose(np.ptp(segment[:, 0]) / 2, half[name])
    np.testing.assert_allclose([found[name] for name in expected.index], expected)


def test_differences_that_are_told_apart_do_not_cross_zero():
    runs, curves = made_sweep(GRID, value=better)
    axes = axes_of(drawn(runs, curves)["differences_to_best_valid_accuracy"])
    for bars in axes.containers:
        apart = bars.lines[0].get_markerfacecolor() == "white"
        for segment in bars.lines[2][0].get_segments():
            assert (segment[:, 0].min() > 0) == apart
    assert len(axes.containers) == 2


def test_a_heat_map_shows_values_and_says_what_is_missing():
    runs, curves = made_sweep(GRID, value=better)
    runs = runs[~((runs.activation == "relu") & (runs.learning_rate == 1.0))].reset_index(drop=True)
    lost = runs.index[(runs.activation == "tanh") & (runs.learning_rate == 0.001)]
    axes = axes_of(drawn(end(runs, lost, "diverged"), curves)["pair_learning_rate_by_activation"])
    texts = {tuple(np.subtract(text.get_position(), 0.5).astype(int)): text.get_text() for text in axes.texts}
    means = runs.groupby(["learning_rate", "activation"]).valid_accuracy.mean()
    rows, columns = labels(axes.get_yticklabels()), labels(axes.get_xticklabels())
    for (x, y), text in texts.items():
        if text != "diverged":
            assert float(text) == pytest.approx(means[float(rows[y]), columns[x]], abs=6e-4)
    assert texts[columns.index("tanh"), rows.index("0.001")] == "diverged"
    assert (columns.index("relu"), rows.index("1")) not in texts
    assert len(texts) == 7


def test_fields_varied_one_at_a_time_have_no_heat_map():
    one, curves = made_sweep({"l1": [0.0, 1e-3]}, l2=0.0)
    two, more = made_sweep({"l2": [1e-4, 1e-2]}, l1=0.0)
    two["run_id"] = more["run_id"] = "b" + two["run_id"].str[1:]
    found = drawn(pd.concat([one, two], ignore_index=True), pd.concat([curves, more], ignore_index=True))
    assert not [name for name in found if name.startswith("pair")]
    assert {"main_effect_l1", "main_effect_l2"} <= set(found)


def test_learning_curves_are_medians_in_a_band():
    runs, curves = made_sweep({"activation": ["tanh", "relu"]}, value=lambda c: 0.8 + 0.1 * (c["activation"] == "relu"))
    axes = axes_of(drawn(runs, curves)["learning_curves_valid_accuracy"])
    best = curves[curves.run_id.isin(runs.run_id[runs.activation == "relu"])].groupby("epoch").valid_accuracy
    np.testing.assert_allclose(axes.lines[0].get_ydata(), best.median())
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(best.min().min())
    assert band.max() == pytest.approx(best.max().max())
    assert axes.get_xlabel() == "epoch"


def test_a_single_epoch_is_a_marker():
    runs, curves = made_sweep({"activation": ["tanh", "relu"]})
    found = drawn(runs, curves[curves.epoch == 1])
    for name in ("learning_curves_valid_accuracy", "single_runs_valid_accuracy"):
        assert {line.get_marker() for line in axes_of(found[name]).lines} == {"o"}


def test_a_random_search_has_slices():
    rates = np.geomspace(1e-4, 1, 20).tolist()
    runs, curves = made_sweep(
        {"learning_rate": rates}, seeds=2, value=lambda c: 0.8 + 0.02 * np.log10(c["learning_rate"])
    )
    found = drawn(end(runs, [38, 39], "diverged"), curves)
    axes = axes_of(found["slice_learning_rate"])
    assert axes.get_xscale() == "log"
    assert sorted([*axes.lines[0].get_xdata(), *axes.lines[1].get_xdata()]) == rates[:-1]
    assert axes.lines[1].get_xdata()[0] == rates[-2]
    assert list(axes.lines[2].get_xdata()) == rates[-1:]
    assert "1 combinations without a value" in found["slice_learning_rate"].message
    assert "main_effect_learning_rate" not in found


def test_two_directories_have_their_differences():
    first, curves = made_sweep({"activation": ["tanh", "relu"]}, dropout=0.0)
    second, _ = made_sweep({"activation": ["tanh", "relu"]}, dropout=0.5, value=lambda _: 0.9)
    names = ("plain", "dropped")
    runs = pd.concat([t.assign(dir=n) for t, n in zip((first, second), names, strict=True)], ignore_index=True)
    both = pd.concat([curves.assign(dir=n) for n in names], ignore_index=True)
    axes = axes_of(drawn(runs, both)["difference_dropped_minus_plain"])
    np.testing.assert_allclose(np.asarray(axes.containers[0].lines[0].get_xdata(), float), [0.1, 0.1])


def test_a_baseline_has_the_differences_from_it():
    runs, curves = made_sweep(
        {"activation": ["tanh", "relu", "elu"]}, value=lambda c: 0.7 + 0.05 * len(c["activation"])
    )
    (board,) = leaderboards(runs)
    found = {figure.name: figure for figure in figures(board, curves, baseline=2)}
    axes = axes_of(found["differences_to_baseline_valid_accuracy"])
    means = runs.groupby("activation").valid_accuracy.mean()
    shown = np.asarray(axes.containers[0].lines[0].get_xdata(), float)
    np.testing.assert_allclose(np.sort(shown), np.sort([means["relu"] - means["elu"], means["tanh"] - means["elu"]]))
    assert "minus that of the baseline (elu)" in found["differences_to_baseline_valid_accuracy"].message


def test_importance_shows_shares_of_the_variance():
    axes = axes_of(drawn(*made_sweep(GRID, value=better))["importance_valid_accuracy"])
    assert labels(axes.get_yticklabels())[0] == "activation"
    assert max(patch.get_width() for patch in axes.patches) > 0.8


def test_a_one_at_a_time_sweep_names_the_one_change():
    parts = [
        made_sweep({name: [0.0, value]}, seeds=2, **{other: 0.0})
        for name, other, value in (("l1", "l2", 0.1), ("l2", "l1", 0.2))
    ]
    runs = pd.concat([part[0] for part in parts], ignore_index=True).drop_duplicates(["l1", "l2", "seed"])
    runs["run_id"] = [f"{at:016x}" for at in range(len(runs))]
    axes = axes_of(drawn(runs.reset_index(drop=True), parts[0][1])["leaderboard_valid_accuracy"])
    assert set(labels(axes.get_yticklabels())) == {"base", "l1 0.1", "l2 0.2"}


def test_outcomes_are_drawn_where_runs_ended_unlike():
    runs, curves = made_sweep(GRID)
    axes = axes_of(drawn(end(runs, [0, 1, 2], "diverged"), curves)["outcomes"])
    assert labels(axes.get_yticklabels()) == ["done", "diverged"]
    found = drawn(end(runs, runs.index, "diverged"), curves.iloc[:0])
    assert list(found) == []  # nothing has a value, and all ended alike


# ---- style ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_equal_results_give_equal_files():
    found = drawn(*made_sweep(GRID, value=better))
    for name in ("pair_learning_rate_by_activation", "learning_curves_batch_loss"):
        again = drawn(*made_sweep(GRID, value=better))[name]
        for form in ("svg", "png"):
            content = rendered(found[name], form)
            assert content == rendered(again, form)
            assert not re.search(rb"20\d\d-\d\d-\d\d", content)


@pytest.fixture
def _few(monkeypatch):
    """Only the first figures, as drawing takes most of a test's time."""
    monkeypatch.setattr(static_figures, "figures", lambda *arguments: itertools.islice(figures(*arguments), 2))


@pytest.mark.usefixtures("_few")
def test_figures_are_a_column_wide_and_carry_their_message(tmp_path):
    write_figures(tmp_path, *made_sweep({"activation": ["tanh", "relu"]}))
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as image:
            assert image.width == 990  # 3.3 inches of 300 dots
            assert image.info["Title"].endswith(".")
    for path in tmp_path.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).get("width") == "237.6pt"
        assert "95% interval over seeds" in text or "paired by seed" in text


@pytest.mark.slow
def test_any_label_is_drawn():
    labels = [EVIL, "", "x" * 500, "a\tb", "$", "^_{}"]
    runs, curves = made_sweep({"activation": labels, "learning_rate": [0.1, 1.0]}, seeds=2)
    found = drawn(runs, curves)
    for name in ("leaderboard_valid_accuracy", "pair_activation_by_learning_rate", "learning_curves_batch_loss"):
        ElementTree.fromstring(rendered(found[name], "svg"))


def test_labels_are_short_and_printable():
    assert short("") == "none"
    assert short("a\nb") == "a\\nb"
    assert len(short("x" * 99)) == 34


def test_axes_name_their_units():
    runs, _ = made_sweep({"activation": ["tanh", "relu"]}, loss="softmax_cross_entropy")
    (board,) = leaderboards(runs, "valid_loss")
    assert metric_label(board, "valid_loss") == "validation loss (nats)"
    assert metric_label(board, "valid_accuracy") == "validation accuracy"
    assert field_label("batch_size") == "batch size (examples)"
    assert field_label("epochs") == "epochs"
    (other,) = leaderboards(runs.assign(loss="squared_error"), "valid_loss")
    assert metric_label(other, "valid_loss") == "validation loss"
    assert metric_label(other, "valid_elbo") == "validation elbo (nats)"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.geomspace(1e-4, 1, 20), True),
        (np.linspace(0.001, 1, 20), False),  # evenly spread, one of them near zero
        ([0.0, 1e-4, 1.0], False),
        ([1, 2, 3], False),
        ([], False),
    ],
)
def test_axes_are_logarithmic_where_values_spread_over_decades(values, expected):
    assert is_log(values) == expected


def test_log_axes_have_plain_numbers():
    axes = Figure().add_subplot()
    set_log(axes, "y", [0.002, 40.0])
    axes.figure.canvas.draw()
    assert labels(axes.get_yticklabels()) == ["0.001", "0.01", "0.1", "1", "10", "100"]


def luminance(color):
    channels = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def test_colours_are_told_apart_by_colour_blind_readers():
    """ΔE (CIE 1976) of all pairs under Machado et al.'s matrices (2009) for full protanopia and deuteranopia."""
    protanopia = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    deuteranopia = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for matrix in (np.eye(3), np.array(protanopia), np.array(deuteranopia)):
        seen = [np.clip(matrix @ luminance(color), 0, 1) for color in PALETTE]
        ratio = [np.cbrt(np.maximum(xyz @ each / [0.9505, 1, 1.089], 0.008856)) for each in seen]
        lab = np.array([[116 * y - 16, 500 * (x - y), 200 * (y - z)] for x, y, z in ratio])
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(PALETTE), 1)]
        assert distance.min() > 15


def test_numbers_are_legible_on_every_shade():
    shades = SEQUENTIAL(np.linspace(0, 1, 9))[:, :3]
    for shade in shades:
        color = "#" + "".join(f"{round(255 * channel):02x}" for channel in shade)
        y = luminance(color) @ [0.2126, 0.7152, 0.0722]
        assert (y + 0.05) / 0.05 > 7  # contrast with black


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path, monkeypatch):
    runs, curves = made_sweep({"activation": ["tanh", "relu"]}, seeds=2)
    monkeypatch.setattr("lanes.results.tables.load", lambda _: runs)
    monkeypatch.setattr("lanes.results.tables.load_curves", lambda _: curves)
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.mark.usefixtures("_few")
def test_the_command_touches_nothing_else_in_the_folder(directory, capsys):
    folder = directory.parent / "new" / "figures"
    folder.mkdir(parents=True)
    (folder / "mine.svg").write_text("mine")
    assert report.run([str(directory), "--figures", str(folder)]) == 0
    assert (folder / "mine.svg").read_text() == "mine"
    found = sorted(path.name for path in folder.iterdir())
    assert {"leaderboard_valid_accuracy.svg", "leaderboard_valid_accuracy.png"} <= set(found)
    assert capsys.readouterr().out.splitlines()[-1] == f"figures: {folder} ({len(found) - 1} files)"
    assert (directory / "report.html").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/figures"])
def test_a_folder_that_cannot_be_written_is_told_before_the_work(directory, monkeypatch, capsys, place):
    monkeypatch.chdir(directory)
    (directory / "file").write_text("")
    assert report.run([str(directory), "--figures", place]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert re.fullmatch(r"error: cannot write --figures .*; choose another folder\n", err)
    assert [path.name for path in directory.iterdir()] == ["file"]


def test_a_folder_in_the_place_of_a_figure_is_told(directory, tmp_path, capsys):
    (tmp_path / "leaderboard_valid_accuracy.png").mkdir()
    assert report.run([str(directory), "--figures", str(tmp_path)]) == 2
    assert "leaderboard_valid_accuracy.png: it is a folder" in capsys.readouterr().err
