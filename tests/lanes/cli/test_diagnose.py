"""`lanes diagnose`: tables and pictures, exit statuses, one line for what cannot be diagnosed."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
from small_sweeps import OVERLAPPING

import lanes
from lanes import Run, grid
from lanes.cli import main
from lanes.program.compiled import Programs
from nets import MLP

PROGRAMS = Programs()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: two activations and two seeds."""
    out = tmp_path_factory.mktemp("diagnosed") / "runs"
    base = Run(data=OVERLAPPING, net=MLP(widths=(6, 5)), epochs=1, batch_size=16)
    runs = grid(base, activation=["tanh", "relu"], seed=range(2))
    lanes.sweep(runs, out=out, quiet=True, devices=1, programs=PROGRAMS)
    return out


def test_tables_and_pictures_are_written_beside_the_sweep(swept, capsys):
    assert main.run(["diagnose", str(swept), "--what", "activations", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    table = pd.read_parquet(swept / "diagnoses" / "activations.parquet")
    assert list(table.columns[:3]) == ["run_id", "depth", "layer"]
    assert len(table) == len(document["tables"]["activations"])
    assert {"activation", "seed", "net.widths"} <= set(table)
    assert (swept / "diagnoses" / "activations.png").read_bytes()[:4] == b"\x89PNG"


def test_rows_are_those_of_the_restored_net(swept):
    run_id = lanes.load(swept)["run_id"].iloc[0]
    tables = lanes.diagnose(swept, ["activations", "gradients"], run_ids=[run_id], split="test", epoch="last")
    net, variables = lanes.restore(swept, run_id, epoch="last")
    data = OVERLAPPING.load()
    x = (data.test.x - data.offset) * data.scale
    _, kept = net.apply(variables, x, train=False, mutable=["intermediates"])
    table = tables["activations"].set_index("layer")
    for name in ("hidden_0", "hidden_1"):
        (h,) = kept["intermediates"][name]["hidden"]
        assert table.loc[name, "std"] == pytest.approx(float(np.std(h)), rel=1e-4)
    found = tables["gradients"].set_index(["layer", "parameter"])
    assert list(found.index[:3]) == [
        ("hidden_0/dense", "kernel"),
        ("hidden_0/dense", "bias"),
        ("hidden_1/dense", "kernel"),
    ]
    kernel = variables["params"]["output"]["kernel"]
    assert found.loc[("output", "kernel"), "weight_norm"] == pytest.approx(float(np.linalg.norm(kernel)), rel=1e-5)

    def loss(kernel):
        params = {**variables["params"], "output": {**variables["params"]["output"], "kernel": kernel}}
        logits = net.apply({"params": params}, x, train=False)
        return optax.softmax_cross_entropy_with_integer_labels(logits, data.test.y).mean()

    gradient = float(jnp.linalg.norm(jax.grad(loss)(kernel)))
    assert found.loc[("output", "kernel"), "gradient_norm"] == pytest.approx(gradient, rel=1e-4)


def test_the_noise_scale_is_that_of_the_restored_net(swept):
    """All examples of the split are fewer than 512."""
    run_id = lanes.load(swept)["run_id"].iloc[0]
    (found,) = lanes.diagnose(swept, "noise", run_ids=[run_id])["noise"]["noise_scale"]
    net, variables = lanes.restore(swept, run_id)
    data = OVERLAPPING.load()
    x = (data.train.x - data.offset) * data.scale

    def loss(params, x, y):
        logits = net.apply({"params": params}, x[None], train=False)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y[None])[0]

    gradients = jax.vmap(jax.grad(loss), (None, 0, 0))(variables["params"], x, data.train.y)
    each = np.concatenate([np.reshape(leaf, (len(x), -1)).astype(float) for leaf in jax.tree.leaves(gradients)], axis=1)
    assert found == pytest.approx(each.var(axis=0).sum() / np.sum(each.mean(axis=0) ** 2), rel=1e-4)


@pytest.mark.slow
def test_curvature_rank_and_jacobian_of_all_runs(swept, tmp_path, capsys):
    what = ["curvature", "rank", "jacobian"]
    assert main.run(["diagnose", str(swept), "--what", *what, "--out", str(tmp_path), "--examples", "20"]) == 0
    assert capsys.readouterr().err == ""
    curvature = pd.read_parquet(tmp_path / "curvature.parquet")
    assert (curvature["method"] == "dense").all()
    assert (curvature["smallest"] < curvature["largest"]).all()
    assert ((curvature["negative"] > 0) & (curvature["negative"] + curvature["positive"] <= 1)).all()
    rank = pd.read_parquet(tmp_path / "rank.parquet")
    assert list(rank["layer"][:3]) == ["hidden_0", "hidden_1", "output"]
    assert rank["effective_rank"].between(1, 6).all()
    jacobian = pd.read_parquet(tmp_path / "jacobian.parquet")
    assert (jacobian["smallest"] <= jacobian["largest"]).all()
    single = pd.read_parquet(tmp_path / "jacobian_singular_values.parquet")
    assert single.groupby("run_id")["example"].nunique().eq(4).all()
    assert all((tmp_path / f"{name}.svg").exists() for name in what)


def test_one_layer_is_kept_and_another_is_refused(swept, tmp_path, capsys):
    words = ["diagnose", str(swept), "--what", "activations", "--out", str(tmp_path), "--best", "1"]
    assert main.run([*words, "--layer", "hidden_1"]) == 0
    assert set(pd.read_parquet(tmp_path / "activation_histograms.parquet")["layer"]) == {"hidden_1"}
    capsys.readouterr()
    assert main.run([*words, "--layer", "hidden_7"]) == 2
    assert capsys.readouterr().err == (
        "error: unknown --layer 'hidden_7': did you mean 'hidden_1'? valid: hidden_0, hidden_1, output\n"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--what", "activation"], "unknown diagnosis 'activation': did you mean 'activations'?"),
        (["--split", "trian"], "unknown split 'trian': did you mean 'train'?"),
        (["--examples", "0"], "--examples is 0"),
        (["--epoch", "3"], "--epoch is '3'"),
        (["--run", "zz"], "unknown run 'zz'"),
        (["--best", "0"], "--best is 0"),
    ],
)
def test_a_wrong_request_is_one_line(swept, words, line, capsys):
    assert main.run(["diagnose", str(swept), *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_an_empty_directory_and_a_file_in_place_of_the_folder_are_one_line(swept, tmp_path, capsys):
    assert main.run(["diagnose", str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main.run(["diagnose", str(swept), "--out", str(tmp_path / "file")]) == 2
    assert "is a file: choose another folder" in capsys.readouterr().err
