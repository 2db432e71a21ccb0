"""Runs a `lanes` command in this process and notes what each of its threads does when. lanes itself knows nothing of it.

    python -m benchmarks.traced_command SPANS.json COMMAND …

The file holds {"ended": …, "spans": [[phase, thread, begin, end], …]} in seconds of the machine's monotonic clock. Spans
of a thread nest: the innermost one says what it does.
"""

import functools
import importlib
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGAN = time.monotonic()
IMPORTS, PLANNING, CHECKING, DATA = "imports", "planning", "planning: tracing", "data"
TRACING, LOWERING, XLA, LOADING = "tracing", "lowering", "XLA", "loading programs"
STARTING, TRAINING, EVALUATING = "starting weights", "training", "evaluating"
WRITING, PAGE = "writing", "table and page"
# Functions whose calls are spans, by phase.
CALLS = {
    "lanes.describe.experiment_files:runs_of": PLANNING,
    "lanes.engine.requests:make_plan": PLANNING,
    "lanes.engine.buildable:Buildable.check": CHECKING,
    "lanes.data.loading:load_dataset": DATA,
    "lanes.program.stored_programs:load": LOADING,
    "lanes.storage.records:record": WRITING,
    "lanes.storage.compaction:join_parts": WRITING,
    "lanes.reporting.pages:write_page": PAGE,
    "lanes.results.leaderboard:ranking": PAGE,
    "lanes.results.tables:load": PAGE,
    "lanes.results.printed_leaderboard:print_leaderboard": PAGE,
}
# Functions that return a program, whose calls are spans by the first word of the program's key, and one that takes a job.
PROGRAMS = "lanes.program.compiled:Compiled.get"
JOBS = "lanes.storage.writer:Writer.submit"
KINDS = {"train": TRAINING, "evaluate": EVALUATING}
EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": TRACING,
    "/jax/core/compile/jaxpr_to_mlir_module_duration": LOWERING,
    "/jax/core/compile/backend_compile_duration": XLA,
}
RETRIEVED = "/jax/compilation_cache/cache_retrieval_time_sec"

Span = tuple[str, str, float, float]
SPANS: list[Span] = []
_found_in_cache = threading.local()


def noted(phase: str, began: float) -> None:
    """Note a span of this thread that ends now."""
    SPANS.append((phase, threading.current_thread().name, began, time.monotonic()))


def spanned(phase: str, function: Callable) -> Callable:
    """The function, whose calls are noted."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        began = time.monotonic()
        try:
            return function(*args, **options)
        finally:
            noted(phase, began)

    return call


def _running(get: Callable) -> Callable:
    """`Compiled.get`, whose programs wait for their results and are noted."""

    @functools.wraps(get)
    def got(self: Any, key: tuple[Any, ...], *args: Any, **options: Any) -> Callable:
        program = get(self, key, *args, **options)

        def called(*args: Any) -> Any:
            import jax

            return jax.block_until_ready(program(*args))

        return spanned(KINDS.get(key[0], STARTING), functools.wraps(program, assigned=(), updated=())(called))

    return got


def _job(submit: Callable) -> Callable:
    """`Writer.submit`, whose jobs are noted in the thread that runs them."""

    @functools.wraps(submit)
    def submitted(self: Any, job: Callable, *args: Any, **options: Any) -> Any:
        return submit(self, spanned(WRITING, job), *args, **options)

    return submitted


def targets() -> dict[str, Callable[[Callable], Callable]]:
    """What replaces each function, by "module:name"."""
    calls = {name: functools.partial(spanned, phase) for name, phase in CALLS.items()}
    return {**calls, PROGRAMS: _running, JOBS: _job}


def replace(name: str, replacement: Callable[[Callable], Callable]) -> None:
    """Replace a function of an imported module.

    Raises AttributeError if the module has none of that name.
    """
    module, _, path = name.partition(":")
    *outer, last = path.split(".")
    holder = functools.reduce(getattr, outer, sys.modules[module])
    setattr(holder, last, replacement(getattr(holder, last)))


def watch_imports() -> None:
    """Note every import that loads a module, and replace the functions of the modules of lanes as these are loaded."""
    bootstrap: Any = importlib._bootstrap
    find_and_load, left = bootstrap._find_and_load, targets()

    def watched(name: str, import_: Any) -> Any:
        began = time.monotonic()
        try:
            return find_and_load(name, import_)
        finally:
            noted(IMPORTS, began)
            if name == "jax" and name in sys.modules:
                watch_jax()
            if name.startswith("lanes"):
                for target in [t for t in left if t.partition(":")[0] == name and name in sys.modules]:
                    replace(target, left.pop(target))

    bootstrap._find_and_load = watched


def watch_jax() -> None:
    """Note what JAX reports: tracing, lowering, compilation by XLA or, if the persistent cache has it, loading."""
    from jax import monitoring

    def heard(event: str, duration_secs: float, **_: Any) -> None:
        if event == RETRIEVED:
            _found_in_cache.yes = True
        elif event in EVENTS:
            phase = EVENTS[event]
            if phase == XLA and getattr(_found_in_cache, "yes", False):
                phase, _found_in_cache.yes = LOADING, False
            noted(phase, time.monotonic() - duration_secs)

    monitoring.register_event_duration_secs_listener(heard)


def main(path: Path, words: list[str]) -> None:
    """Run the command as its entry point does, write the spans, and exit with the command's status."""
    sys.argv = ["lanes", *words]
    watch_imports()
    from lanes.cli import main as entry

    leave = entry.leave

    def leaving(status: int) -> None:
        path.write_text(json.dumps({"began": BEGAN, "ended": time.monotonic(), "spans": SPANS}), encoding="utf-8")
        leave(status)

    entry.leave = leaving  # type: ignore[assignment]
    entry.main()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
