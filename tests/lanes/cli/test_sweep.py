"""`lanes sweep`: exit statuses, one-line errors that write nothing, a user's own experiment, resuming."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lanes

CHECKOUT = Path(__file__).parents[3]

EXPERIMENT = '''
"""An experiment that defines its own activation, initializer, loss, penalty and net."""
import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import optax

from lanes import Run, grid
from lanes.data.generated_sets import Blobs


@dataclasses.dataclass(frozen=True)
class Bent:
    """max(z, slope z)"""

    slope: float = 0.1

    def __call__(self, z):
        return jnp.maximum(z, self.slope * z)


def small(key, shape, dtype=jnp.float32):
    return jnp.full(shape, 0.125, dtype)


def doubled_cross_entropy(prediction, target):
    return 2.0 * optax.softmax_cross_entropy_with_integer_labels(prediction, target)


@dataclasses.dataclass(frozen=True)
class Quartic:
    """strength * sum of w^4 of all parameters"""

    strength: float = 1e-3
    acts_on = "params"

    def __call__(self, params):
        return self.strength * sum(jnp.sum(leaf**4) for leaf in (params["out"]["kernel"], params["in"]["kernel"]))


class Net(nn.Module):
    units: int = 4
    outputs: int = 1
    activation: object = None
    kernel_init: object = None

    @nn.compact
    def __call__(self, x, *, train):
        h = self.activation()(nn.Dense(self.units, kernel_init=self.kernel_init, name="in")(x))
        return nn.Dense(self.outputs, kernel_init=self.kernel_init, name="out")(h)


BASE = Run(data=Blobs(n=120, classes=3), net=Net(units=3), activation=Bent(), initializer=small,
           loss=doubled_cross_entropy, penalties=(Quartic(),), optimizer="sgd", learning_rate=0.1, batch_size=16, epochs=3)


def sweep():
    return grid(BASE, {"activation.slope": [0.1, 0.3]}, seed=range(2))
'''


@pytest.fixture
def experiment(tmp_path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(EXPERIMENT)
    return path


WRONG = {
    "misspelt field": (["--set", "learning_rat=0.1"], "did you mean 'learning_rate'"),
    "not FIELD=VALUE": (["--set", "epochs"], "FIELD=VALUE"),
    "unknown activation": (["--set", "activation=relo"], "did you mean 'relu'"),
    "negative rate": (["--set", "learning_rate=-0.1"], "must be above 0"),
    "a word for a number": (["--set", "epochs=many"], "must be of type int"),
    "l2 and weight decay": (["--set", "l2=0.1", "--set", "weight_decay=0.1"], "set one of them to 0"),
    "nothing left": (["--only", "seed=77"], "matches no run"),
    "no seeds": (["--seeds", "0"], "--seeds is 0"),
    "devices": (["--devices", "99"], "--devices is 99"),
    "mapping": (["--mapping", "vmap"], "--mapping is 'vmap'"),
    "width": (["--width", "wide"], "--width is 'wide'"),
    "shard": (["--shard", "3/2"], "3/2"),
    "data": (["--set", "data=digitz"], "digits"),
    "rungs": (["--halving", "5,x"], "--halving is '5,x'"),
    "rungs in no order": (["--halving", "5,2"], "increasing positive epochs"),
    "a rung after the end": (["--halving", "1,99"], "rungs must lie below"),
    "keep": (["--halving", "1", "--keep", "1"], "must be above 0 and below 1"),
    "keep without rungs": (["--keep", "0.5"], "go with --halving"),
    "halving metric": (["--halving", "1", "--halving-metric", "valid_los"], "did you mean 'valid_loss'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_requests_are_one_line_and_write_nothing(call, experiment, tmp_path, wrong):
    arguments, message = WRONG[wrong]
    status, out, error = call(experiment, "--out", tmp_path / "out", *arguments)
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("x = 1\n", "no function sweep()"),
        ("def sweep():\n    return 3\n", "must return a list of Run"),
        ("def sweep():\n    return []\n", "no runs"),
        ("import lanes\ndef sweep():\n    return [lanes.Run(learning_rat=1)]\n", "(line 3)"),
        ("import lanes\ndef sweep():\n    return [lanes.Run(activation=lambda z: z)]\n", "lambda"),
        ("def sweep(:\n", "SyntaxError"),
        ("import no_such_module\n", "no_such_module"),
        ("import lanes\nHALVING = 5\ndef sweep():\n    return [lanes.Run()]\n", "HALVING of"),
    ],
)
def test_wrong_files_are_one_line_and_write_nothing(call, tmp_path, text, message):
    path = tmp_path / "wrong.py"
    if text is not None:
        path.write_text(text)
    status, out, error = call(path, "--out", tmp_path / "out")
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_an_unwritable_out_is_one_line(call, experiment, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    status, out, error = call(experiment, "--out", tmp_path / "file" / "out")
    assert (status, out) == (2, "")
    assert "cannot be written" in error
    assert error.count("\n") == 1


def test_halving_is_set_in_the_file_or_on_the_command_line(call, experiment, tmp_path):
    experiment.write_text(experiment.read_text() + "\n\nfrom lanes import Halving\nHALVING = Halving(rungs=(2, 3))\n")
    arguments = (experiment, "--out", tmp_path / "out", "--dry-run", "--set", "epochs=7")
    assert "halving by valid_loss: 4 runs to epoch 2, 2 to epoch 3, 1 to the end" in call(*arguments)[1]
    _, out, _ = call(*arguments, "--halving", "5", "--keep", "0.75", "--halving-metric", "valid_loss")
    assert "halving by valid_loss: 4 runs to epoch 5, 3 to the end" in out


def test_a_dry_run_plans_and_writes_nothing(call, experiment, tmp_path):
    status, out, error = call(experiment, "--out", tmp_path / "out", "--dry-run", "--set", "epochs=7")
    assert (status, error) == (0, "")
    assert "4 runs" in out
    assert "1 training programs" in out
    assert f"{2 * 3 + 3 + 3 * 3 + 3} parameters" in out
    assert not (tmp_path / "out").exists()


def python(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONHASHSEED": "random"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


RESTORE = """
import json, jax.numpy as jnp, numpy as np, lanes
from lanes.data.loading import load_dataset
from lanes.data.generated_sets import Blobs
from lanes.program.step import standardize
table = lanes.load("out")
data = load_dataset(Blobs(n=120, classes=3))
x = standardize(*(jnp.asarray(part) for part in (data.test.x, data.offset, data.scale)))
accuracies = []
for row in table.itertuples():
    net, variables = lanes.restore("out", row.run_id)
    logits = np.asarray(net.apply(variables, x, train=False))
    accuracies.append(float(np.mean(np.argmax(logits, 1) == data.test.y)))
print(json.dumps([type(net).__name__, accuracies, table["test_accuracy"].tolist()]))
"""


@pytest.mark.slow
def test_a_users_own_experiment_runs_resumes_in_a_new_process_and_is_restored_without_its_file(
    call, experiment, tmp_path
):
    out = tmp_path / "out"
    # Two programs: the time limit stops the sweep while the second is compiled.
    experiment.write_text(EXPERIMENT.replace("seed=range(2)", "batch_size=[16, 24]"))
    status, output, error = call(experiment, "--out", out, "--max-seconds", 0, "--devices", 1, "--no-report")
    assert status == 75, error
    assert "resume with: " in output
    again = python(CHECKOUT / "scripts/sweep.py", experiment, "--out", out, "--no-report", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "4 of 4 runs ended" in again.stdout
    status, output, _ = call(experiment, "--out", out, "--no-report")
    assert status == 0
    assert "nothing to do" in output
    experiment.unlink()
    restored = python("-c", RESTORE, cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    name, accuracies, stored = json.loads(restored.stdout.splitlines()[-1])
    assert name == "Net"
    assert np.allclose(accuracies, stored, atol=1e-6)
    table = lanes.load(out)
    assert set(table["status"]) == {"done"}
    assert (table["penalty"] > 0).all()
    assert sorted(table["activation.slope"].unique()) == [0.1, 0.3]
    assert set(table["net.units"]) == {3}
