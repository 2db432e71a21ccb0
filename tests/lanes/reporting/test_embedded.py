"""What a page holds of a sweep's numbers: nothing is lost on the way, and what is left out is said."""

import numpy as np
import pandas as pd
import pytest

from lanes.reporting import embedded
from lanes.reporting.columns import Columns, packed, unpacked
from lanes.results.leaderboard import leaderboard


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 255], "u1"),
        ([0, 256], "u2"),
        ([70_000], "u4"),
        ([-1, 2], "f4"),
        ([2**40], "f4"),
        ([2**40 + 1], "f8"),
        ([0.5, np.nan, np.inf], "f4"),
        ([0.1], "f8"),
        (np.array([0.1, 1e-40, 3e38], dtype=np.float32), "f4"),
        ([1e300, -1e-300], "f8"),
        ([], "u1"),
        ([True, False], "u1"),
    ],
)
def test_columns_come_back_as_they_were(values, kind):
    columns = Columns()
    described = {"first": columns.add([1, 2, 3]), "these": [columns.add(values)], "text": "é</script>"}
    assert described["these"][0]["kind"] == kind
    text = packed(described, columns)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    found = unpacked(text)
    np.testing.assert_array_equal(found["first"], [1, 2, 3])
    np.testing.assert_array_equal(found["these"][0].astype(float), np.asarray(values, dtype=float))
    assert found["text"] == "é</script>"


def test_curves_are_rounded_to_four_digits():
    values = np.concatenate([10 ** np.random.default_rng(0).uniform(-30, 30, 1000), [0.0, np.nan, np.inf, -3.25]])
    found = embedded.rounded(values)
    finite = np.isfinite(values)
    np.testing.assert_allclose(found[finite], values[finite], rtol=1.3e-4)
    assert np.isnan(found[~finite]).all()
    assert np.isnan(embedded.rounded(np.array([1e300]))).all()


def sweep(runs, epochs):
    ids = [f"{at:04x}" for at in range(runs)]
    table = pd.DataFrame({"run_id": ids, "status": "done", "learning_rate": np.linspace(0.1, 1, runs), "seed": 0})
    table["valid_loss"] = np.linspace(1, 2, runs)
    curves = pd.DataFrame({"run_id": np.repeat(ids, epochs), "epoch": np.tile(np.arange(1, epochs + 1), runs)})
    return leaderboard(table), curves.assign(valid_loss=1 / curves["epoch"], batch_loss=2 / curves["epoch"])


@pytest.mark.parametrize(
    ("most", "said", "epochs"),
    [
        (10_000, "", range(1, 101)),
        (1_000, "one epoch in 4, the first and the last;", [1, *range(4, 101, 4)]),
        (400, "one epoch in 5, the first and the last, of the runs of the 9 best-ranked of 20", [1, *range(5, 101, 5)]),
    ],
)
def test_what_is_left_out_of_curves_is_said(monkeypatch, most, said, epochs):
    monkeypatch.setattr(embedded, "CURVE_VALUES", most)
    board, curves = sweep(20, 100)
    text = embedded.left_out(board, curves)
    assert said in text if said else text == ""
    found = unpacked(embedded.embedded([board], curves, {"d": "d"}))["boards"][0]["curves"]
    kept = 9 if "9 best" in said else 20
    assert found["points"].tolist() == [len(epochs)] * kept + [0] * (20 - kept)
    assert found["epochs"][: len(epochs)].tolist() == list(epochs)
    assert list(found["values"]) == ["valid_loss", "batch_loss"]
