"""The small sweep in its own process, in packs of eight lanes and chunks of one epoch, with faults injected.

python driver.py DIR [shard=I/N] [seconds=S] [slow=S] [hang=S] [fail=ERRNO,N] [nolocks=ERRNO] [epochs=N] [devices=N] [packs=N]
    [halving=R1,R2]

`slow` waits before each file that is written during training; `hang` makes each chunk after the first longer; `fail` makes
every write after the N-th raise that error; `nolocks` makes locking a file raise that error.
"""

import fcntl
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

EXPERIMENT = Path(__file__).with_name("small_sweep.py")
SMALL = {"width": 4, "quiet": True, "pack_lanes": 8, "chunk_seconds": 0.0}  # packs of eight lanes, chunks of one epoch


def patch(arguments: dict[str, str]) -> None:
    """The faults that the arguments name."""
    from lanes import files
    from lanes.engine import session
    from lanes.storage import claims, sealed, tables

    replace, written, train = os.replace, [0], session.Session.train
    slow = [0.0]
    error, after = map(int, arguments.get("fail", "0,0").split(","))

    def faulty_replace(source: str, target: str) -> None:
        written[0] += 1
        hold_up(slow[0])
        if error and written[0] > after:
            raise OSError(error, os.strerror(error), str(target))
        replace(source, target)

    assert sealed.write_bytes is tables.write_bytes is files.write_bytes
    files.os = type(sys)("os")
    files.os.__dict__.update(os.__dict__, replace=faulty_replace)

    def announced_train(self: session.Session) -> int:
        slow[0] = float(arguments.get("slow", "0"))
        print("training", flush=True)
        return train(self)

    session.Session.train = announced_train
    if "nolocks" in arguments:
        claims.fcntl = type(sys)("fcntl")
        claims.fcntl.__dict__.update(fcntl.__dict__, flock=_unlockable(int(arguments["nolocks"])))


def _unlockable(number: int) -> Callable[[int, int], None]:
    def flock(_handle: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return flock


def hanging(seconds: float) -> Callable[..., None]:
    """What to do after a chunk: nothing after the first, wait after others, as if the chunk went on."""
    count = itertools.count()
    return lambda *_: hold_up(seconds if next(count) else 0.0)


def hold_up(seconds: float) -> None:
    """Wait, and say so if it is long."""
    if seconds > 1:
        print("waiting", flush=True)
    time.sleep(seconds)


def main(out: str, **arguments: str) -> int:
    """Run the sweep; returns its exit status."""
    patch(arguments)
    from lanes.cluster.batch_jobs import parse_shard
    from lanes.describe.experiment_files import runs_of
    from lanes.describe.halving import parse_halving
    from lanes.describe.settings import with_settings
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from lanes.errors import ExitStatus
    from lanes.program.places import prepare_devices

    count = int(arguments.get("devices", "1"))
    prepare_devices()
    options = Options(
        **SMALL,
        devices=count,
        shard=parse_shard(arguments["shard"]) if "shard" in arguments else None,
        max_seconds=float(arguments["seconds"]) if "seconds" in arguments else None,
        halving=parse_halving(arguments.get("halving"), None, None),
        after_chunk=hanging(float(arguments["hang"])) if "hang" in arguments else None,
    )
    settings = [f"epochs={arguments['epochs']}"] if "epochs" in arguments else []
    plan = make_plan(with_settings(runs_of(EXPERIMENT), settings), options)
    outcome = run_sweep(plan, Path(out), options, experiment=EXPERIMENT, command=sys.argv)
    print(*outcome.failures, outcome.summary(Path(out)), sep="\n", flush=True)
    if outcome.status == ExitStatus.STOPPED:
        os._exit(outcome.status)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], **dict(word.split("=", 1) for word in sys.argv[2:])))
