"""A process that is not the first of its program: takes the steps that process 0 takes, and writes nothing."""

import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lanes.engine import requests
from lanes.engine.context import Context
from lanes.engine.options import Options
from lanes.engine.progress import Progress
from lanes.engine.requests import Plan
from lanes.engine.signals import stopping_signals
from lanes.engine.trainer import Interrupted, Trainer
from lanes.plan.packs import Pack
from lanes.program.compiled import Compiled
from lanes.program.hosts import PREFIX, LeftBehindError
from lanes.program.sharing import sharing_of
from lanes.storage.directory import Directory
from lanes.storage.writer import Writer


class _Unwritten(Writer):
    """Takes jobs and does none of them."""

    def submit(self, job: Callable[..., None], *args: Any, latest_of: object = None) -> None:
        """Drop a job."""
        del job, args, latest_of


def follow(plan: Plan, out: Path, options: Options) -> int:
    """Train the packs that process 0 names, until it says how the sweep has ended; return that exit status.

    A signal that stops is passed on to process 0, which saves and stops.
    """
    hosts = options.hosts
    _pass_signals_on(options)
    compiled, writer = Compiled(len(plan.places), options.programs), _Unwritten()
    directory = Directory(out, lambda _: None, changes=False)
    while "ends" not in (told := hosts.begin()):
        pack = _pack(plan, told)
        with Progress([pack], 1, quiet=True) as progress:
            context = Context(
                directory=directory,
                datasets=plan.datasets,
                compiled=compiled,
                writer=writer,
                progress=progress,
                stop=threading.Event(),
                options=options,
            )
            try:
                Trainer(plan.places[0], context).train(pack)
            except (Interrupted, LeftBehindError):
                continue
            except Exception as error:
                hosts.lost(error)
    return int(told["ends"])


def _pack(plan: Plan, told: Mapping[str, Any]) -> Pack:
    """The pack that process 0 has named, of this process's own plan."""
    programs = {run_id: sharing_of(text) for run_id, text in told["programs"].items()}
    by_id = {member.run_id: member for member in requests.in_programs(plan, programs).planned}
    lanes = tuple(None if run_id is None else by_id[run_id] for run_id in told["lanes"])
    return Pack(lanes, told["width"], told["seeds"], told["planned_width"])


def _pass_signals_on(options: Options) -> None:
    hosts = options.hosts

    def ask(*_: Any) -> None:
        def write() -> None:
            with contextlib.suppress(Exception):
                hosts.client.key_value_set(f"{PREFIX}/said/{hosts.index}/stop", "", allow_overwrite=True)

        threading.Thread(target=write, daemon=True).start()

    for number in stopping_signals():
        signal.signal(number, ask)
