"""Tables of a user's sweep: the same columns and types before and after it has run, to pandas, polars and DuckDB."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import AdamW, Cosine, Halving, Metric, RequestError, Run
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.plan.widths import Choice
from lanes.program.compiled import Programs
from lanes.results.evaluation import evaluate
from lanes.storage import records
from lanes.storage.directory import Directory
from lanes.storage.provenance import Call
from nets import MLP

polars = pytest.importorskip("polars", reason="Polars reads the tables; it is in the extra `test`")
duckdb = pytest.importorskip("duckdb", reason="DuckDB reads the tables; it is in the extra `test`")

PROGRAMS = Programs()
BASE = Run(data=OVERLAPPING, net=MLP(widths=(4,)), batch_size=16, epochs=2, optimizer="sgd", learning_rate=0.1)
DIVERGING = dataclasses.replace(BASE, learning_rate=1e38)


def brier(z, y):
    """A metric of the user's own."""
    return jnp.sum((jax.nn.softmax(z) - jax.nn.one_hot(y, z.shape[-1])) ** 2, axis=-1)


def swept(runs: list[Run], out: Path, **options: Any) -> pd.DataFrame:
    return lanes.sweep(runs, out, devices=1, quiet=True, programs=PROGRAMS, **options)


def only_planned(runs: list[Run], out: Path, halving: Halving | None = None) -> pd.DataFrame:
    """The table of a sweep that has written its plan and is killed before it trains anything."""
    plan = make_plan(runs, Options(devices=1))
    directory = Directory(out)
    directory.create()
    choices = dict.fromkeys(plan.shapes, Choice(2, "given"))
    records.record(plan.planned, directory, choices, Call(plan.places), halving=halving)
    return lanes.load(out)


def types_of(table: pd.DataFrame) -> list[tuple[str, str]]:
    return [(str(name), str(dtype)) for name, dtype in table.dtypes.items()]


def readers_agree(out: Path) -> None:
    """Every reader takes the parts as one table, with the same rows and without options."""
    for folder in ("results", "curves"):
        paths = list((out / folder).glob("*.parquet"))
        assert len({str(pq.read_schema(path)) for path in paths}) == 1
        pattern = str(out / folder / "*.parquet")
        count = sum(pq.read_metadata(path).num_rows for path in paths)
        by_polars = polars.scan_parquet(pattern).collect()
        by_duckdb = duckdb.sql(f"SELECT * FROM read_parquet('{pattern}')")
        assert by_polars.columns == by_duckdb.columns == pq.read_schema(paths[0]).names
        assert len(by_polars) == len(pd.read_parquet(out / folder)) == count
        assert len(by_duckdb.df()) == count


@pytest.mark.slow
def test_types_are_the_same_before_and_after(tmp_path):
    runs = [BASE, DIVERGING]
    before, no_curves = only_planned(runs, tmp_path), lanes.load_curves(tmp_path)
    expected = ["status", "epochs_done", "best_epoch", "penalty", "diverged_step", "seconds", "width", "mapping"]
    metrics = [f"{split}_{name}" for split in ("train", "valid", "test") for name in ("loss", "accuracy")]
    assert {*expected, *metrics, "device"} <= set(before.columns)
    after = swept(runs, tmp_path)
    assert set(after["status"]) == {"done", "diverged"}
    assert types_of(before) == types_of(after)
    assert types_of(no_curves) == types_of(lanes.load_curves(tmp_path))
    kinds = dict(types_of(after))
    assert {kinds[name] for name in metrics} == {"float64"}
    assert {kinds[name] for name in ("best_epoch", "diverged_step", "epochs_done", "steps", "patience")} == {"Int64"}
    assert {kinds[name] for name in ("seed", "epochs", "batch_size")} == {"int64"}
    assert {kinds[name] for name in ("momentum", "clip", "learning_rate", "valid_fraction")} == {"float64"}
    readers_agree(tmp_path)

    alone = swept([DIVERGING], tmp_path / "diverged")
    assert types_of(alone) == types_of(after)
    both = [tmp_path, tmp_path / "diverged"]
    assert types_of(lanes.load(both)) == [*types_of(after), ("dir", "str" if pd.__version__ >= "3" else "object")]
    curves = lanes.load_curves(both)
    assert curves["dir"].unique().tolist() == [str(path) for path in both if len(lanes.load_curves(path))]
    assert len(curves) == sum(len(lanes.load_curves(path)) for path in both)
    with pytest.raises(RequestError, match="holds no sweep"):
        lanes.load_curves([tmp_path, tmp_path / "nothing"])


@pytest.mark.slow
def test_runs_that_measure_other_things_are_added(tmp_path):
    first = swept([BASE, dataclasses.replace(BASE, patience=1, epochs=4)], tmp_path)
    assert "valid_brier" not in first.columns
    added = [
        dataclasses.replace(BASE, metrics=(Metric(brier, higher_is_better=False),)),
        dataclasses.replace(BASE, valid_fraction=0.0),
        dataclasses.replace(BASE, optimizer=AdamW(b1=0.8), schedule=Cosine(warmup=3)),
        dataclasses.replace(BASE, train_examples=64, steps=7, clip=1.0, momentum=0.9, optimizer="momentum"),
    ]
    before = only_planned([BASE, *added], tmp_path)
    assert before["status"].isna().sum() == len(added)
    readers_agree(tmp_path)
    after = swept([BASE, *added], tmp_path)
    assert types_of(before) == types_of(after)
    assert (after["status"].isin(["done", "stopped_early"])).all()
    assert after["valid_brier"].notna().sum() == 1
    assert after["valid_loss"].isna().sum() == 1
    assert str(after["schedule.warmup"].dtype) == "float64"
    readers_agree(tmp_path)
    evaluated = evaluate(tmp_path, split="train")
    assert types_of(evaluated[after.columns]) == types_of(after)


@pytest.mark.slow
def test_halving_and_shards(tmp_path):
    runs = [dataclasses.replace(BASE, learning_rate=rate, epochs=4) for rate in (1e-4, 0.01, 0.1, 1e38)]
    halving = Halving(rungs=(2,), keep=0.5, metric="valid_loss")
    before = only_planned(runs, tmp_path, halving=halving)
    after = swept(runs, tmp_path, halving=halving)
    assert {"done", "pruned"} <= set(after["status"])
    assert types_of(before) == types_of(after)
    readers_agree(tmp_path)
    pattern = str(tmp_path / "rungs" / "*" / "*.parquet")
    assert len(polars.scan_parquet(pattern).collect()) == 4


@pytest.mark.slow
def test_the_command_says_what_its_documentation_says(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from lanes import Blobs, Run, grid\nfrom nets import MLP\n\n\ndef sweep():\n"
        "    base = Run(data=Blobs(n=120), net=MLP(widths=(4,)), batch_size=16, epochs=1, optimizer='sgd')\n"
        "    return grid(base, learning_rate=[0.1, 1e38], seed=range(2))\n"
    )
    command = [sys.executable, "-m", "lanes.cli.main"]
    out = tmp_path / "out"
    subprocess.run([*command, "sweep", str(tmp_path / "mine.py"), "--out", str(out)], check=True, capture_output=True)
    readers_agree(out)
    saved = tmp_path / "evaluated.parquet"
    evaluating = [*command, "evaluate", str(out), "--best", "1", "--ensemble", "--out", str(saved)]
    subprocess.run(evaluating, check=True, capture_output=True)
    assert "null" not in {str(kind) for kind in pq.read_schema(saved).types}
    assert pd.read_parquet(saved)["seed"].dropna().tolist() == [0, 1]
