"""The Python interface: sweep, train, load, restore; in a process where JAX has started; an interrupt saves and returns."""

import dataclasses
import signal
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import Run, grid
from lanes.data.loading import load_dataset
from lanes.errors import RequestError
from lanes.program.compiled import Programs
from lanes.program.step import standardize
from nets import MLP

PROGRAMS = Programs()

BASE = Run(
    data=OVERLAPPING,
    net=MLP(widths=(4,), norm="batch_norm"),
    activation="prelu",
    learning_rate=0.05,
    batch_size=16,
    epochs=3,
    dropout=0.1,
)
SWEEP = grid(BASE, learning_rate=[0.01, 0.1], seed=[0, 1])


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    jnp.zeros(1).block_until_ready()  # as in a notebook: JAX has started before
    out = tmp_path_factory.mktemp("interface") / "out"
    return out, lanes.sweep(SWEEP, out, devices=2, width=4, quiet=True, programs=PROGRAMS)


def margin(prediction, target):
    """A metric of the user's own: by how much the best output leads the next."""
    del target
    ordered = jnp.sort(prediction, axis=-1)
    return ordered[:, -1] - ordered[:, -2]


def test_a_metric_of_ones_own_is_measured():
    trained = lanes.train(dataclasses.replace(BASE, metrics=(margin,), epochs=1), programs=PROGRAMS)
    data = load_dataset(BASE.data)
    x = standardize(jnp.asarray(data.test.x), jnp.asarray(data.offset), jnp.asarray(data.scale))
    outputs = np.sort(trained.net.apply(trained.variables, x, train=False), axis=1)
    np.testing.assert_allclose(trained.results["test_margin"], np.mean(outputs[:, -1] - outputs[:, -2]), rtol=1e-5)
    assert np.isfinite(trained.curves["valid_margin"]).all()


def accuracy(net, variables, data) -> float:
    x = standardize(jnp.asarray(data.test.x), jnp.asarray(data.offset), jnp.asarray(data.scale))
    return float(np.mean(np.argmax(net.apply(variables, x, train=False), axis=1) == data.test.y))


def test_sweep_returns_the_table_of_all_runs(swept):
    out, table = swept
    assert len(table) == 4
    assert set(table["status"]) == {"done"}
    assert table["run_id"].is_unique
    assert sorted(table["learning_rate"].unique()) == [0.01, 0.1]
    assert {"epochs", "epochs_done", "best_epoch", "valid_loss", "test_accuracy", "net.widths", "optimizer.b1"} <= set(
        table
    )
    again = lanes.sweep(SWEEP, out, devices=2, width=4, quiet=True, programs=PROGRAMS)
    assert again.equals(table)
    assert lanes.load([out, out])["dir"].tolist() == [str(out)] * 8


def test_restored_nets_give_the_stored_accuracy(swept):
    out, table = swept
    data = load_dataset(BASE.data)
    for row in table.itertuples():
        net, variables = lanes.restore(out, row.run_id)
        assert accuracy(net, variables, data) == pytest.approx(row.test_accuracy, abs=1e-6)
        assert set(variables) == {"params", "batch_stats"}
        assert all(isinstance(leaf, (np.ndarray, np.generic)) for leaf in jax.tree.leaves(variables))
    best, last = (lanes.restore(out, row.run_id, epoch=epoch)[1] for epoch in ("best", "last"))
    same = all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(best), jax.tree.leaves(last)))
    assert same == (row.best_epoch == row.epochs_done)


def test_restore_says_what_is_wrong(swept, tmp_path):
    out, table = swept
    one = table["run_id"].iloc[0]
    lanes.restore(out, one[:10])  # an unambiguous prefix
    for directory, run_id, epoch, match in (
        (out, "nothing", "best", "unknown run"),
        (out, "", "best", "matches 4 runs"),
        (out, one, "first", "choose best or last"),
        (tmp_path, one, "best", "holds no sweep"),
    ):
        with pytest.raises(RequestError, match=match) as caught:
            lanes.restore(directory, run_id, epoch)
        assert "\n" not in str(caught.value)
    with pytest.raises(RequestError, match="holds no sweep"):
        lanes.load(tmp_path)


@pytest.mark.slow
def test_a_run_alone_is_the_run_of_the_sweep(swept):
    _, table = swept
    trained = lanes.train(SWEEP[0], devices=1, width=4, programs=PROGRAMS)
    row = table.set_index("run_id").loc[trained.results.name]
    # The same numbers at the same width, whatever the size of its pack.
    assert trained.results["width"] == row["width"]
    assert trained.results["test_loss"] == row["test_loss"]
    assert len(trained.curves) == 3
    assert accuracy(trained.net, trained.variables, load_dataset(BASE.data)) == pytest.approx(
        row["test_accuracy"], abs=1e-6
    )


def test_wrong_requests_start_and_write_nothing(tmp_path):
    with pytest.raises(RequestError, match="above 0"):
        lanes.sweep([dataclasses.replace(BASE, learning_rate=-1.0)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(TypeError, match="widht"):
        lanes.sweep([BASE], tmp_path / "out", widht=3)


@pytest.mark.slow
def test_an_interrupt_saves_and_returns(tmp_path, capsys):
    options = {"devices": 2, "width": 4, "quiet": True, "chunk_seconds": 0.0, "programs": PROGRAMS}
    long = [dataclasses.replace(run, epochs=3000) for run in SWEEP]
    timer = threading.Timer(3.0, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    table = lanes.sweep(long, tmp_path / "out", **options)
    timer.cancel()
    assert "all saved: repeat the call to resume" in capsys.readouterr().err
    assert len(table) == 4
    assert table["status"].isna().any()
