"""What the driver of a cluster's sweep and its workers send each other: plain data, no arrays and no functions of a run."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lanes.engine.rungs import Stage

Files = dict[str, bytes]  # by path relative to a sweep's directory


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a worker is.

    Attributes:
        host, process: where it runs.
        python: its version, without the last number.
        conditions: what its numbers depend on besides the runs (`lanes.storage.conditions`).
        devices: platform, kind, number and free bytes of each device that it trains on.
    """

    host: str
    process: int
    python: str
    conditions: Mapping[str, str]
    devices: Sequence[tuple[str, str, int, int | None]]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Runs by which a worker shows that it has the driver's code and data.

    Attributes:
        files: copies of the experiment and of the modules beside it.
        rows: of the runs, as in `runs.parquet`.
        data: the id and the fingerprint of each run's data.
        data_dir: where prepared TFDS sets are.
    """

    files: Files
    rows: Sequence[Mapping[str, Any]]
    data: Sequence[tuple[str, str]]
    data_dir: str | None


@dataclasses.dataclass(frozen=True)
class Job:
    """The sweep that a worker works for.

    Attributes:
        out: its directory.
        sweep: identity of that directory.
        collects: whether the driver writes the directory, which workers do not see.
        command: the driver's command line.
        options: further options of the sweep, by name (`lanes.engine.options.Options`).
        experiment: where the copy of the experiment is whose callbacks are called: the columns SOURCE of `runs.parquet`;
            None without callbacks.
    """

    out: str
    sweep: str
    collects: bool
    command: Sequence[str]
    options: Mapping[str, Any]
    experiment: Sequence[Any] | None = None


@dataclasses.dataclass(frozen=True)
class Parcel:
    """A pack, as a worker plans it again.

    Attributes:
        pack: its name.
        rows: of its runs: run_id, description, lane, and where the copy of the experiment is.
        shape: width, lanes, and seeds.
        signature: short form of that of its program.
        program: what the runs of its program may differ in (`Sharing.text`).
        data: id and fingerprint of its data.
        continued: for runs that go on from finished ones: run_id, pack, lane, epochs and program of these, by run_id.
    """

    pack: str
    rows: Sequence[Mapping[str, Any]]
    shape: tuple[int, int, int]
    signature: str
    program: str
    data: tuple[str, str]
    continued: Mapping[str, tuple[str, str, int, int, str]]


@dataclasses.dataclass(frozen=True)
class Task:
    """Packs that a worker trains in one go.

    Attributes:
        parcels: the packs.
        stage: how far they are trained.
        files: what the directory has of them, for a worker that does not see it.
    """

    parcels: Sequence[Parcel]
    stage: Stage
    files: Files


@dataclasses.dataclass(frozen=True)
class Report:
    """How a task ended.

    Attributes:
        stopped: whether the worker was asked to stop.
        interrupted: whether a pack was not trained, though the worker was not asked to stop.
        failures: a line for each pack that failed, and one where the directory cannot be written.
        failed: the packs that failed while they were trained.
        refused: why packs could not be planned, by name.
        has_broken_callback: whether a callback raised.
        is_unwritable: whether the directory cannot be written.
        steps, computed: as `Session` counts them.
        compiled: seconds by program, of those compiled since the last report.
        seconds: that the task took.
        lines: warnings.
        narrowed: width by pack, if memory allowed no more.
        files: what belongs into the directory, from a worker that does not see it.
    """

    stopped: bool
    interrupted: bool
    failures: Sequence[str]
    failed: Sequence[str]
    refused: Mapping[str, str]
    has_broken_callback: bool
    is_unwritable: bool
    steps: int
    computed: int
    compiled: Mapping[tuple[Any, ...], float]
    seconds: float
    lines: Sequence[str]
    narrowed: Mapping[str, int]
    files: Files
