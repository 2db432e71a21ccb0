"""Nothing in a directory is unpickled or evaluated, and no name in it leads out of it."""

import json
import pickle
import sys

import pandas as pd
import pytest
from injuries import copy, ignore

import lanes
from lanes.cli import main
from lanes.describe import encoding, experiment_files, identity
from lanes.errors import RequestError
from lanes.storage.directory import Directory

HARM = [
    {"symbol": "os:system"},
    {"symbol": "subprocess:Popen", "fields": {"args": "touch harm"}},
    {"symbol": "builtins:exec"},
    {"symbol": "lanes.storage.checkpoints:shutil.rmtree"},
    {"symbol": "lanes.storage.directory:os.system"},
    {"symbol": "numpy:load"},
    {"symbol": "pandas:read_pickle"},
    {"symbol": "antigravity:fly"},
    {"symbol": "experiment:__builtins__.exec"},
    {"symbol": "nets:MLP.__init__.__globals__"},
    {"symbol": "lanes.storage.tables:write_bytes", "fields": {"path": "harm", "content": "x"}},
    {"partial": {"symbol": "os:system"}, "args": ["touch harm"], "keywords": {}},
]


@pytest.mark.parametrize("value", HARM, ids=lambda value: json.dumps(value)[:50])
def test_descriptions_reach_only_what_can_be_described(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with pytest.raises(RequestError):
        encoding.decode(value)
    assert not list(tmp_path.iterdir())
    assert "antigravity" not in set(sys.modules) - before


OF_OURS_AND_LIBRARIES = [
    ("data", {"symbol": "jax:clear_caches"}),
    ("data", {"symbol": "jax.numpy:zeros"}),
    ("data", {"partial": {"symbol": "jax.numpy:load"}, "args": ["x.npy"], "keywords": {"allow_pickle": True}}),
    ("data", {"symbol": "lanes:load"}),
    ("data", {"symbol": "lanes:Encoded", "fields": {"source": "a:b", "data": {"symbol": "optax:adam"}}}),
    ("activation", {"partial": {"symbol": "jax.numpy:load"}, "args": ["x.npy"], "keywords": {"allow_pickle": True}}),
    ("activation", {"symbol": "jax:device_put"}),
    ("loss", {"partial": {"symbol": "lanes:sweep"}, "args": [[]], "keywords": {"out": "harm"}}),
    ("loss", {"partial": {"symbol": "jax.nn:relu"}, "args": [{"symbol": "lanes:sweep"}], "keywords": {}}),
    ("metrics", [{"symbol": "losses:Metric", "fields": {"function": {"symbol": "lanes:restore"}}}]),
    ("net", {"bridge": {"symbol": "lanes:sweep"}, "module": {"symbol": "flax.linen:Dense"}, "fields": {}}),
]


@pytest.mark.parametrize(("field", "value"), OF_OURS_AND_LIBRARIES, ids=lambda value: json.dumps(value)[:60])
def test_a_run_names_no_function_that_does_more_than_compute(field, value):
    good = identity.describe(lanes.Run())
    assert identity.from_description(good)
    with pytest.raises(RequestError, match="not written by this program"):
        identity.from_description({**good, field: value})


@pytest.mark.slow
def test_the_experiment_is_executed_only_for_a_run_that_needs_it(tmp_path, capsys):
    """A run of table entries is restored, evaluated and repeated without a look at the directory's code."""
    base = "from lanes import Blobs, Run, grid\nfrom nets import MLP\nimport pathlib\n"
    runs = "BASE = Run(data=Blobs(n=60), net=MLP(widths=(4,)), batch_size=8, epochs=1)\n"
    canary = f"pathlib.Path({str(tmp_path / 'canary')!r}).write_text('executed')\n"
    file, out = tmp_path / "plain.py", tmp_path / "out"
    own = "def bent(z):\n    return 0.5 * z\n"
    file.write_text(base + own + runs + "def sweep():\n    return grid(BASE, activation=['relu', bent])\n" + canary)
    assert main.run(["sweep", str(file), "--out", str(out), "--no-report"]) == 0
    table = lanes.load(out).set_index("activation")["run_id"]
    (tmp_path / "canary").unlink()
    sys.modules.pop(next(name for name in sys.modules if "bent" in vars(sys.modules[name])), None)
    lanes.restore(out, table["relu"])
    assert main.run(["evaluate", str(out), "--run", table["relu"], "--no-code"]) == 0
    assert main.run(["report", str(out)]) == 0
    assert not (tmp_path / "canary").exists()
    with pytest.raises(RequestError, match=r"needs experiment:bent of .*experiment\.py, which is code"):
        lanes.restore(out, table["bent"], trust=False)
    capsys.readouterr()
    assert main.run(["evaluate", str(out), "--no-code"]) == 2
    assert main.run(["train", "--run", f"{out}:{table['bent']}", "--no-code", "--out", str(tmp_path / "again")]) == 2
    assert capsys.readouterr().err.count("leave out --no-code") == 2
    assert not (tmp_path / "canary").exists()
    lanes.restore(out, table["bent"])
    assert (tmp_path / "canary").exists()


def test_encoded_values_are_decoded():
    import jax
    import optax

    from lanes.recipe.optimizers import OPTIMIZERS
    from nets.activations import ACTIVATIONS

    for value in (*ACTIVATIONS.values(), *OPTIMIZERS.values(), jax.nn.relu, jax.numpy.tanh, optax.safe_norm):
        assert encoding.decode(json.loads(json.dumps(encoding.encode(value)))) == value


def test_names_in_the_table_of_runs_cannot_lead_out_of_the_directory(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    directory = Directory(out, ignore)
    table = directory.read_runs()
    directory.write_runs(table.assign(pack="../../elsewhere"))
    with pytest.raises(RequestError):
        lanes.restore(out, reference.table["run_id"][0])
    directory.write_runs(table.assign(experiment="../../../elsewhere.py"))
    (tmp_path / "elsewhere.py").write_text("raise SystemExit('harm')")
    with pytest.raises(RequestError, match="no intact table"):
        lanes.restore(out, reference.table["run_id"][0])


def test_pickles_are_not_loaded(reference, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    out = copy(reference.path, tmp_path / "sweep")
    (out / "results" / "00.parquet").write_bytes(pickle.dumps(Harm()))
    pd.DataFrame({"run_id": [pickle.dumps(Harm())]}).to_parquet(out / "results" / "01.parquet")
    lanes.load(out)
    assert not (tmp_path / "harm").exists()


def test_the_copy_of_the_experiment_ignores_and_writes_no_bytecode(reference, tmp_path):
    out = copy(reference.path, tmp_path / "sweep")
    run_id = reference.table["run_id"][0]
    lanes.restore(out, run_id)
    assert not list(out.rglob("__pycache__"))
    for name in [name for name in sys.modules if name.startswith("experiment_")]:
        del sys.modules[name]
    text = (out / "experiment.py").read_text().replace("0.25", "0.26")
    (out / "experiment.py").write_text(text)
    with pytest.raises(RequestError, match="is not the copy that was made"):
        lanes.restore(out, run_id)


def test_an_experiment_that_exits_is_an_error(tmp_path):
    (tmp_path / "leave.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(RequestError, match=r"raises SystemExit: 0 \(line 2\)"):
        experiment_files.load_module(tmp_path / "leave.py")
