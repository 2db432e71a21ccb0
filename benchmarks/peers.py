"""The peers' processes: started once, idle between requests, run one at a time or two at once."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from benchmarks.measuring import Way
from benchmarks.works import Work
from lanes.errors import RequestError

CHECKOUT = Path(__file__).resolve().parents[1]
MISSING = (
    "torch is not installed for {python}: pip install -e '.[peers]', or name a Python that has it: --peer-python PATH"
)


class Worker:
    """One process of a peer's interpreter."""

    def __init__(self, python: str):
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        command = [python, "-m", "benchmarks.worker"]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        except OSError as error:
            raise RequestError(
                f"--peer-python {python} does not start ({error.strerror}): name a Python interpreter"
            ) from error

    def ask(self, request: dict[str, Any]) -> None:
        """Send a request; `answer` returns its result."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `answer` reports it
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The result of the last request. Raises RuntimeError if it failed, or the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer's process ended with status {self.process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End the process by closing its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Peers:
    """Two workers in the peers' interpreter for torch, and one in this interpreter for scikit-learn.

    Attributes:
        versions: of torch and scikit-learn, if installed.
        missing: one line that says what to install; empty if torch is installed.
    """

    def __init__(self, work: Work, python: str | None, device: str = "cpu"):
        self.work, self.device = work, device
        self.python = python or sys.executable

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            self._data = Path(folder) / "data.npz"
            self.work.export(self._data)
            self._torch = [stack.enter_context(Worker(self.python)) for _ in range(2)]
            self._sklearn = stack.enter_context(Worker(sys.executable))
            self.versions = {f"peers' {name}": value for name, value in self._versions(self._torch[0]).items()}
            self._open = stack.pop_all()
        self.missing = "" if "peers' torch" in self.versions else MISSING.format(python=Path(self.python).name)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def torch(self, name: str, way: str, processes: int = 1, **fields: Any) -> Way:
        """A way of torch, in ms per run; two processes at once count as two runs."""
        return Way(name, lambda: 1e3 * self._together(self._torch[:processes], way, fields) / processes)

    def sklearn(self, name: str) -> Way:
        """scikit-learn's way, in ms per run."""
        return Way(name, lambda: 1e3 * self._together([self._sklearn], "sklearn", {}))

    def _together(self, workers: list[Worker], way: str, fields: dict[str, Any]) -> float:
        """Seconds per run of the slowest of `workers`, started at once."""
        work = self.work
        request = {
            **{"way": way, "work": work.name, "data": str(self._data), "device": self.device},
            **{"batch": work.run.batch_size, "steps": work.steps, "epochs": work.epochs, **fields},
        }
        for worker in workers:
            worker.ask(request)
        return max(worker.answer()["seconds"] for worker in workers)

    @staticmethod
    def _versions(worker: Worker) -> dict[str, str]:
        worker.ask({"way": "versions"})
        try:
            return worker.answer()["versions"]
        except RuntimeError as error:
            raise RequestError(f"--peer-python: {error}; it needs Python 3.11 and NumPy") from None
