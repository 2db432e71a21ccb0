"""Benchmarks: small sizes end to end without torch, repetitions in turn, tables in Markdown and JSON."""

import contextlib
import dataclasses
import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import __main__ as benchmark
from benchmarks import comparisons, costs, measuring, ours, works
from benchmarks.measuring import Row, Sample, Table, Way, interleaved
from benchmarks.peers import Peers, Worker
from lanes.describe import checks, identity, runs
from lanes.errors import RequestError
from lanes.storage import checkpoints
from lanes.storage.directory import Directory
from nets import inspection

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setattr(Peers, "_versions", staticmethod(lambda _: {"scikit-learn": "1"}))


@pytest.fixture
def without_mnist(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    works.images.cache_clear()
    yield
    works.images.cache_clear()


def lines_of(capsys, **arguments) -> tuple[int, list[str]]:
    status = benchmark.main(benchmark.Arguments(quick=True, devices=1, **arguments))
    return status, capsys.readouterr().out.splitlines()


@pytest.mark.slow
@pytest.mark.usefixtures("without_torch", "without_mnist")
def test_without_torch_lanes_still_runs_and_says_what_to_install(capsys):
    status, lines = lines_of(capsys, name="mnist_mlp")
    result = json.loads(lines[-1])
    assert status == 0
    assert [row["name"] for row in result["rows"]] == ["lanes, 4 wide"]
    assert result["rows"][0]["median"] > 0
    assert result["quick"]
    assert {"jax", "cores", "load"} <= set(result["machine"])
    assert sum("pip install" in line and "torch" in line for line in lines[:-1]) == 1
    assert any("noise of MNIST's shape" in line for line in lines)
    assert lines[0].startswith("| way | ms per run, median |")


@pytest.mark.slow
def test_a_convolution_in_a_loop(capsys):
    with jax.numpy_dtype_promotion("standard"):  # Optax's Adam mixes dtypes
        status, lines = lines_of(capsys, name="conv_loop")
    result = json.loads(lines[-1])
    assert status == 0
    assert len(result["rows"]) == 4
    assert all(row["median"] > 0 and not row["failure"] for row in result["rows"])
    assert result["facts"]["nets.convolve: scan / unrolled"] > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "swep"}, "sweep"),
        ({"name": "sweep", "repeats": 0}, "at least 1"),
        ({"name": "sweep", "widths": (8, 0)}, "at least 1"),
        ({"name": "sweep", "quick": True, "write": True}, "--quick"),
    ],
)
def test_wrong_requests_start_nothing(arguments, text):
    with pytest.raises(RequestError, match=text):
        benchmark.main(benchmark.Arguments(**arguments))


def test_repetitions_are_taken_in_turn_after_warming():
    calls: list[str] = []
    ways = [Way(name, lambda name=name: calls.append(name) or 1.0, warm=name != "cold") for name in ("A", "B", "cold")]
    rows = interleaved(ways, 2)
    assert "".join(name[0] for name in calls) == "AB" + "ABc" * 2
    assert [len(row.values) for row in rows] == [2, 2, 2]


def test_a_failing_way_does_not_stop_the_others():
    def fails() -> float:
        raise MemoryError("16384 lanes\ndo not fit")

    rows = interleaved([Way("large", fails), Way("small", lambda: Sample(2.0, {"files": 3}))], 3)
    assert rows[0].failure == "MemoryError: 16384 lanes"
    assert rows[1].values == [2.0] * 3
    table = Table("sweep", "ms", rows, "small")
    assert json.loads(json.dumps(table.json()))["rows"][0]["median"] is None
    assert "| small | 2 | 2–2 | 3 | 1 | 3 |" in table.markdown()


def test_medians_and_ratios():
    table = Table("sweep", "ms", [Row("ours", [3.0, 1.0, 2.0]), Row("peer", [50.0, 40.0, 60.0])], "ours")
    assert table.ratio(table.row("peer")) == 30.0  # the median of 50 / 3, 40 / 1 and 60 / 2
    assert "| peer | 50 | 40–60 | 3 | 30 |" in table.markdown()
    assert table.json()["rows"][0]["values"] == [3.0, 1.0, 2.0]


def test_a_table_replaces_the_text_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- sweep -->\nold\n<!-- /sweep -->\nafter\n")
    measuring.put_between(page, "sweep", "new")
    assert page.read_text() == "before\n<!-- sweep -->\n\nnew\n\n<!-- /sweep -->\nafter\n"
    with pytest.raises(RequestError, match="<!-- rnn -->"):
        measuring.put_between(page, "rnn", "new")


def test_every_benchmark_has_its_place_in_the_page():
    page = (ROOT / "docs" / "performance.md").read_text()
    for name in benchmark.BENCHMARKS:
        assert f"<!-- {name} -->" in page
        assert f"<!-- /{name} -->" in page


@pytest.mark.usefixtures("without_mnist")
def test_operations_in_products():
    """Counted by hand: the forward pass, gradients of all kernels, and gradients of the inputs of all layers but the first."""
    one_step = dataclasses.replace(works.work("sweep"), epochs=1, steps=1)
    first, others = 64 * 64, 64 * 64 + 64 * 10
    assert works.products(one_step) == 2 * 32 * (2 * first + 3 * others)
    assert works.products(dataclasses.replace(one_step, epochs=3, steps=0), 32) == 3 * 2 * 32 * (first + others)
    lenet = works.work("lenet")
    first, others = 28 * 28 * 25 * 6, 10 * 10 * 25 * 6 * 16 + 400 * 120 + 120 * 84 + 84 * 10
    assert works.products(lenet) == 16 * 2 * 64 * (2 * first + 3 * others)
    lstm = works.work("rnn")
    first, others = 28 * 28 * 256, 28 * 64 * 256 + 64 * 10
    assert works.products(lstm) == 16 * 2 * 64 * (2 * first + 3 * others)
    gru = works.work("gru")
    first, others = 28 * 28 * 192, 28 * 64 * 192 + 64 * 10
    assert works.products(gru) == 16 * 2 * 64 * (2 * first + 3 * others)
    vae = works.work("vae")
    first, others = 784 * 128, 128 * 4 + 2 * 128 + 128 * 784
    assert works.products(vae) == 64 * 2 * 128 * (2 * first + 3 * others)


@pytest.mark.slow
def test_operations_in_products_of_a_residual_net():
    resnet = works.work("resnet20")
    first = 32 * 32 * 9 * 3 * 16
    by_stage = 6 * 32**2 * 16 * 16, 16**2 * 32 * (16 + 5 * 32), 8**2 * 64 * (32 + 5 * 64)
    others = 9 * sum(by_stage) + 64 * 10
    assert works.products(resnet) == 4 * 2 * 64 * (2 * first + 3 * others)


def test_many_runs_are_different_runs_of_one_signature():
    resolved = [runs.resolve(run) for run in ours.many(works.work("sweep").run, 24)]
    assert len({identity.run_id(run) for run in resolved}) == 24
    assert len({identity.signature(run) for run in resolved}) == 1
    assert {run.seed for run in resolved} == set(range(ours.SEEDS))


@pytest.mark.usefixtures("without_mnist")
def test_every_regularizer_is_a_valid_run():
    base = works.work("mnist_mlp").run
    for changes in costs.regularized(base.net).values():
        checks.resolved(dataclasses.replace(base, **changes))


@pytest.mark.parametrize("name", costs.LEFT_OUT)
def test_a_sweep_succeeds_without_part_of_its_records(name, tmp_path):
    """Results are written and read whatever is left out: a sweep counts finished runs by them."""
    directory = Directory(tmp_path)
    directory.create()
    with contextlib.ExitStack() as stack:
        for patch in costs.LEFT_OUT[name]():
            stack.enter_context(patch)
        directory.write_part(directory.results, "0123456789ab", [{"run_id": "a", "status": "done"}])
        checkpoints.save(directory.checkpoints / "0123456789ab", 1, {"x": np.ones(3)})
        assert directory.ended() == {"a"}
        assert (checkpoints.load(directory.checkpoints / "0123456789ab", print) is None) == ("checkpoints" in name)


@pytest.mark.usefixtures("without_mnist")
def test_peers_get_the_inputs_of_the_net(tmp_path):
    work = works.work("lenet", quick=True)
    work.export(tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz") as file:
        assert file["x"].shape == (work.steps * work.run.batch_size, 28, 28, 1)
        assert file["y"].dtype == np.int64
        assert abs(float(file["x"].mean())) < 1e-2
        assert file["x"].dtype == np.float32


@pytest.mark.parametrize("name", comparisons.PACKS)
@pytest.mark.usefixtures("without_mnist")
def test_a_larger_net_is_a_valid_run_and_its_peer_has_as_many_parameters(name):
    run = works.work(name, quick=True).run
    checks.resolved(run)
    peers = pytest.importorskip("benchmarks.torch_nets", reason="torch is not installed", exc_type=ImportError)
    shape = {"rnn": (28, 28), "gru": (28, 28), "resnet20": (32, 32, 3)}.get(name, (28, 28, 1))
    more = {"rnn": 256, "gru": 64}.get(name, 0)  # torch adds two biases where one does
    ours = inspection.parameter_count(run.net, shape)
    assert sum(p.numel() for p in peers.NETS[name]().parameters()) == ours + more


@pytest.mark.slow
@pytest.mark.usefixtures("without_torch")
def test_whole_commands_are_timed_to_their_end(capsys):
    status, lines = lines_of(capsys, name="whole")
    result = json.loads(lines[-1])
    assert status == 0
    assert [row["name"] for row in result["rows"]] == ["lanes, 24 runs, cold", "lanes, 24 runs, warm"]
    assert all(row["median"] > 1 and float(row["columns"]["CPU s"]) > 1 for row in result["rows"])


@pytest.mark.slow
def test_compile_time_per_net(capsys):
    status, lines = lines_of(capsys, name="architectures")
    (row,) = json.loads(lines[-1])["rows"]
    assert status == 0
    assert row["columns"]["programs"] == "1"  # perceptrons that differ in their widths share it
    assert float(row["columns"]["compiling, s per net"]) > 0


@pytest.mark.slow
def test_a_peers_process_answers_with_seconds_or_one_line(tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=random.normal(size=(64, 5)), y=random.integers(0, 2, 64))
    request = {"way": "sklearn", "work": "sweep", "data": str(tmp_path / "data.npz")}
    with Worker(sys.executable) as worker:
        worker.ask({**request, "batch": 32, "steps": 2, "epochs": 1})
        assert worker.answer()["seconds"] > 0
        worker.ask(request)
        with pytest.raises(RuntimeError, match="KeyError: 'steps'"):
            worker.answer()


def test_a_missing_interpreter_is_one_line(tmp_path):
    peers = Peers(works.work("sweep", quick=True), str(tmp_path / "python"))
    with pytest.raises(RequestError, match="--peer-python"), peers:
        pass
