"""The installed command `lanes`: its commands on one screen, exit statuses, any folder, and help without JAX."""

import dataclasses
import importlib
import os
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Literal

import pytest
import tyro

from lanes.cli import main
from lanes.cli.command import _without_typeguard, run_command, typed
from lanes.errors import RequestError

CHECKOUT = Path(__file__).parents[3]
QUICK = shlex.split("--set epochs=1 train_examples=96 --seeds 1 --only initializer=he_normal --no-report")
FAILING = """
import jax, jax.numpy as jnp
from lanes import Run

def broken(x):
    raise OSError("no such sensor")

def measured(z):
    return jax.pure_callback(broken, jax.ShapeDtypeStruct(z.shape, z.dtype), z, vmap_method="sequential")

def loss(prediction, target):
    return measured(jax.lax.stop_gradient(prediction)).sum(-1) + prediction.sum(-1)

def sweep():
    return [Run(epochs=1, train_examples=96, loss=loss)]
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The command as pip installs it, from the entry point in pyproject.toml."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["lanes"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    path = tmp_path_factory.mktemp("bin") / "lanes"
    path.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n")
    path.chmod(0o755)
    return path


def call(*command: object, cwd: Path, path: str = "") -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PATH": path + os.pathsep + os.environ["PATH"]}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_commands_are_listed_on_one_screen(capsys):
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    files = (CHECKOUT / "lanes" / "cli").glob("*.py")
    commands = {path.stem for path in files if "\ndef run(words: Sequence[str]) -> int:\n" in path.read_text()}
    assert set(main.COMMANDS) == commands - {"main"}
    for name, sentence in main.COMMANDS.items():
        assert f"  {name} " in text
        assert sentence.endswith(".")
    assert main.run([]) == 0
    assert capsys.readouterr().out == text


def test_an_unknown_command_is_one_line_with_the_nearest(capsys):
    assert main.run(["swep", "experiments/quickstart.py"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "unknown command 'swep': did you mean 'sweep'?" in captured.err


@pytest.mark.parametrize(
    "words", ["--help", "nonsense", "sweep --help", "evaluate --help", "report --help", "prepare --help"]
)
def test_help_does_not_import_jax(words, tmp_path):
    code = f"import sys; from lanes.cli.main import run; run({words.split()!r}); sys.exit('jax' in sys.modules)"
    done = call(sys.executable, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_no_command_line_needs_typeguard_which_takes_long_to_import(tmp_path):
    code = (
        "import sys; from lanes.cli.main import COMMANDS, run\n"
        "print([run([name, '--help']) for name in COMMANDS], 'tyro' in sys.modules, 'typeguard' in sys.modules, file=sys.stderr)"
    )
    done = call(sys.executable, "-c", code, cwd=tmp_path)
    assert done.stderr.strip() == f"{[0] * len(main.COMMANDS)} True False"


@pytest.mark.parametrize(
    "typ",
    [
        int | None,
        str | int,
        Path | None,
        Literal["a", "b"] | None,
        bool,
        tuple[int, ...],
        tuple[str, ...] | None,
        tuple[tuple[str, ...], ...],
        tuple[float, float] | None,
        tuple[int | None, str],
        tuple[()],
    ],
    ids=str,
)
def test_tyro_is_told_what_typeguard_would_tell(typ):
    values = [
        None,
        1,
        True,
        "a",
        "c",
        Path(),
        (),
        (1,),
        (1, 2),
        ("a",),
        (None, "a"),
        (("a", "b"), ()),
        ((1,),),
        [1],
        [],
        (1.0, 2.0),
    ]
    expected = [tyro._resolver.is_instance(typ, value) for value in values]
    with _without_typeguard():
        assert [tyro._resolver.is_instance(typ, value) for value in values] == expected
    assert any(expected)
    assert not all(expected)


def test_an_error_is_one_line_and_an_exit_status(capsys):
    @dataclasses.dataclass(frozen=True)
    class Arguments:
        pass

    def raising(error: type[BaseException]) -> int:
        def function(_: object) -> int:
            raise error("two\nlines")

        return run_command(function, Arguments, [], "lanes test")

    errors = (RequestError, OSError, KeyboardInterrupt)
    assert [raising(error) for error in errors] == [2, 3, 75]
    assert capsys.readouterr().err.count("\n") == 3


def test_leaving_ends_running_threads(tmp_path):
    code = """
import threading, time
from lanes.cli.command import leave
threading.Thread(target=time.sleep, args=(60,), name="lanes-place-0").start()
print("saved")
leave(75)
"""
    began = time.monotonic()
    done = call(sys.executable, "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (75, "saved\n")
    assert time.monotonic() - began < 30


def test_leaving_waits_for_what_the_experiment_left_running(tmp_path):
    code = """
import atexit, concurrent.futures, threading, time
from lanes.cli.command import leave
atexit.register(print, "registered")
concurrent.futures.ThreadPoolExecutor(1).submit(int).result()
threading.Thread(target=lambda: (time.sleep(0.2), print("uploaded"))).start()
leave(3)
"""
    done = call(sys.executable, "-c", code, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "uploaded\nregistered\n")


def test_the_command_line_as_typed(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/env/bin/{name}")
    monkeypatch.setattr(sys, "orig_argv", ["python", "scripts/sweep.py", "a b.py", "--out", "x"])
    for program, words in (
        ("scripts/sweep.py", "python scripts/sweep.py 'a b.py' --out x"),
        ("/env/bin/lanes", "lanes sweep 'a b.py'"),
        (".venv/bin/lanes", ".venv/bin/lanes sweep 'a b.py'"),
    ):
        monkeypatch.setattr(sys, "argv", [program, "sweep", "a b.py"])
        assert typed() == words


@pytest.mark.slow
def test_a_stopped_sweep_prints_the_command_as_typed(installed, tmp_path):
    """From another folder: the installed command, by its path or by its name, and the script."""
    # Many chunks, so that a call without time trains the first of them and stops.
    arguments = ["experiments/quickstart.py", "--out", "runs/q", *QUICK, "--set", "epochs=20000", "--max-seconds", "0"]
    script = [sys.executable, str(CHECKOUT / "scripts" / "sweep.py")]
    for words, folder in (([str(installed), "sweep"], ""), (["lanes", "sweep"], str(installed.parent)), (script, "")):
        done = call(*words, *arguments, cwd=tmp_path, path=folder)
        assert done.returncode == 75, done.stderr
        assert done.stdout.splitlines()[-1] == f"resume with: {shlex.join([*words, *arguments])}"
        assert f"running {CHECKOUT}/experiments/quickstart.py" in done.stderr


@pytest.mark.slow
def test_exit_statuses_of_the_installed_command(installed, tmp_path):
    arguments = ["experiments/quickstart.py", "--out", "runs/q", *QUICK]
    done = call(installed, "sweep", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "q" / "runs.parquet").exists()
    assert call(installed, "report", "runs/q", cwd=tmp_path).returncode == 0
    assert (tmp_path / "runs" / "q" / "report.html").exists()
    wrong = call(installed, "sweep", "nowhere.py", "--out", "runs/r", cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: experiment file nowhere.py cannot be read")
    (tmp_path / "failing.py").write_text(FAILING)
    failed = call(installed, "sweep", "failing.py", "--out", "runs/f", cwd=tmp_path)
    assert failed.returncode == 3, failed.stderr
    assert "no such sensor" in failed.stderr
