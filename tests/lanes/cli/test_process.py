"""The process of a command ends as it says: whatever happens to its output, to JAX's variables, or while it imports."""

import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lanes.cli import process

CHECKOUT = Path(__file__).parents[3]
LANES = f"{shlex.quote(sys.executable)} -m lanes.cli.main"
TINY = """
from lanes import Blobs, Run
from nets import MLP

def sweep():
    return [Run(data=Blobs(n=120), net=MLP(widths=(4,)), batch_size=8, epochs=1)]
"""


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **variables}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("end", [">&-", "> /dev/full", "<&- >&- 2>&-", "| true; exit ${PIPESTATUS[0]}"])
@pytest.mark.parametrize(("words", "status"), [("--help", 0), ("swep x.py", 2)])
def test_lost_output_changes_no_status(tmp_path, end, words, status):
    done = shell(f"{LANES} {words} {end}", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)


def test_a_closed_output_is_not_given_to_the_next_file(tmp_path):
    code = (
        "from lanes.cli.process import *; make_output_unfailing(); file = open('x', 'w'); print('lost'); "
        "print(file.fileno() > 2, file=file)"
    )
    done = shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} >&-", tmp_path)
    assert (done.returncode, (tmp_path / "x").read_text()) == (0, "True\n")


def test_characters_that_a_terminal_lacks_are_replaced(tmp_path):
    code = "from lanes.cli.process import *; make_output_unfailing(); print('0.97 ± 0.01')"
    done = shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "0.97 ? 0.01\n")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_during_imports_ends_with_status_75(tmp_path, name):
    (tmp_path / "tiny.py").write_text(TINY)
    command = [sys.executable, "-m", "lanes.cli.main", "sweep", "tiny.py", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    child = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    while not _handles(child.pid, getattr(signal, name)):
        time.sleep(0.01)
    child.send_signal(getattr(signal, name))
    errors = child.communicate(timeout=60)[1]
    assert (child.returncode, errors.count("\n")) == (75, 1), errors
    assert "finished work is saved" in errors
    assert not (tmp_path / "out").exists()


def _handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_jaxs_debugging_variables_are_ignored_with_a_line(monkeypatch, capsys):
    for name, value in (("JAX_ENABLE_X64", "1"), ("JAX_DEBUG_NANS", "True"), ("JAX_DISABLE_JIT", "0")):
        monkeypatch.setenv(name, value)
    process.ignore_debugging_variables()
    assert not {"JAX_ENABLE_X64", "JAX_DEBUG_NANS", "JAX_DISABLE_JIT"} & os.environ.keys()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["JAX_ENABLE_X64", "JAX_DEBUG_NANS"]


def test_idle_threads_sleep_soon_unless_the_user_says_when(monkeypatch):
    name = "OPENBLAS_THREAD_TIMEOUT"
    monkeypatch.setenv(name, "20")
    process.let_idle_threads_sleep()
    assert os.environ[name] == "20"
    monkeypatch.delenv(name)
    process.let_idle_threads_sleep()
    assert os.environ[name] == "16"


def test_numpys_f2py_is_loaded_when_something_of_it_is_used(tmp_path):
    """SciPy takes the module along with all other names of NumPy, and uses nothing of it."""
    (tmp_path / "uses.py").write_text(
        "import sys\n"
        "from lanes.cli.process import load_f2py_when_used\n"
        "load_f2py_when_used()\n"
        "load_f2py_when_used()\n"
        "import scipy.linalg, scipy.special\n"
        "part = 'numpy.f2py.crackfortran'\n"
        "print(part in sys.modules)\n"
        "import numpy.f2py\n"
        "print(numpy.f2py.get_include()[-3:], part in sys.modules, numpy.f2py is sys.modules['numpy.f2py'])\n"
    )
    done = shell(f"{shlex.quote(sys.executable)} uses.py", tmp_path)
    assert done.stdout.split() == ["False", "src", "True", "True"], done.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's allocator")
def test_freed_memory_is_kept_until_it_is_given_back(tmp_path):
    """Blocks of 8 MB, filled and freed 50 times: their 2,048 pages come from the system each time, or once."""
    (tmp_path / "uses.py").write_text(
        "import ctypes, resource, sys\n"
        "from lanes.cli.process import keep_freed_memory\n"
        "library, size = ctypes.CDLL(None), 2**23\n"
        "library.malloc.restype = ctypes.c_void_p\n"
        "def pages():\n"
        "    return int(open('/proc/self/statm').read().split()[1])\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    for _ in range(50):\n"
        "        block = library.malloc(size)\n"
        "        ctypes.memset(block, 1, size)\n"
        "        library.free(ctypes.c_void_p(block))\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "library.mallopt(-3, 2**17)\n"  # as at the start of a process, whatever has been freed since
        "anew = faults()\n"
        "keep_freed_memory()\n"
        "kept = faults()\n"
        "from lanes.program import memory\n"
        "faults()\n"
        "held = pages()\n"
        "memory.give_back()\n"
        "print(anew, kept, held - pages())\n"
    )
    done = shell(f"{shlex.quote(sys.executable)} uses.py", tmp_path)
    anew, kept, given_back = map(int, done.stdout.split())
    assert anew > 50 * 1_000, done
    assert kept < 3_000
    assert given_back > 1_500


@pytest.mark.parametrize("has_plugin", [False, True])
def test_metadata_are_read_for_a_plugin_of_rocm_where_there_may_be_one(tmp_path, has_plugin):
    (tmp_path / ("jax_rocm7_plugin-1.0.dist-info" if has_plugin else "else-1.0.dist-info")).mkdir()
    (tmp_path / "uses.py").write_text(
        "import importlib.metadata as metadata\n"
        "read, calls = metadata.distributions, []\n"
        "def counted(**options):\n"
        "    calls.append(options)\n"
        "    return read(**options)\n"
        "metadata.distributions = counted\n"
        "from lanes.cli.process import import_jax\n"
        "import_jax()\n"
        "import jax\n"
        "print(len(calls), metadata.distributions is counted, jax.numpy.ones(2).sum())\n"
    )
    done = shell(f"{shlex.quote(sys.executable)} uses.py", tmp_path)
    if has_plugin:
        assert done.stdout.split()[1:] == ["True", "2.0"], done.stderr
    else:
        assert done.stdout.split() == ["0", "True", "2.0"], done.stderr


@pytest.mark.slow
def test_a_sweep_trains_under_jaxs_debugging_variables_and_without_docstrings(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    for name in process.IGNORED:
        value = "disallow" if name == "JAX_TRANSFER_GUARD" else "1"
        done = shell(f"{LANES} sweep tiny.py --out {name} --no-report", tmp_path, **{name: value})
        assert done.returncode == 0, done.stderr
    bare = LANES.replace(" -m", " -OO -m")
    assert shell(f"{bare} sweep tiny.py --out optimized", tmp_path).returncode == 0
    assert shell(f"{bare} train --data blobs --batch_size 8 --epochs 1 --out one", tmp_path).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XLA_FLAGS", "--xla_nope=1"),
        ("JAX_DEFAULT_PRNG_IMPL", "nope"),
        ("JAX_PLATFORMS", "absent"),
        ("JAX_LOG_COMPILES", "x"),
    ],
)
@pytest.mark.parametrize("words", ["sweep tiny.py", "train --data blobs --epochs 1"])
def test_a_variable_that_jax_or_xla_refuses_is_a_wrong_request(tmp_path, words, name, value):
    (tmp_path / "tiny.py").write_text(TINY)
    done = shell(f"{LANES} {words} --out out", tmp_path, **{name: value})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert name.lower() in done.stderr.lower()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_numbers_of_another_generator_are_told_and_kept(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    line = f"{LANES} sweep tiny.py --out out --no-report"
    assert shell(f"{line} --set dropout=0.1", tmp_path).returncode == 0
    done = shell(f"{line} --set dropout=0.1 --seeds 2", tmp_path, JAX_DEFAULT_PRNG_IMPL="rbg")
    assert done.returncode == 0
    assert "numbers may differ from those of out's first call: jax_default_prng_impl threefry2x32 -> rbg" in done.stderr
    assert len(list((tmp_path / "out" / "calls").iterdir())) == 2


@pytest.mark.slow
def test_a_user_without_a_home_trains_without_a_cache(tmp_path):
    environment = {"HOME": "/dev/null", "LANES_CACHE_DIR": "", "XDG_CACHE_HOME": "", "TFDS_DATA_DIR": ""}
    line = f"{LANES} train --epochs 1 --train_examples 64 --out out"
    done = shell(line, tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert "nothing is cached" in done.stderr
