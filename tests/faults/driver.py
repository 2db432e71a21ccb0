"""The small sweep in a process of its own, in packs of eight lanes and chunks of one epoch: to be injured.

python driver.py DIR [shard=I/N] [seconds=S] [slow=S] [fail=ERRNO,N] [epochs=N] [devices=N] [packs=N] [halving=R1,R2]

`slow` waits before each file that is written while it trains; `fail` makes every write from the N-th on raise that error.
"""

import os
import sys
import time
from pathlib import Path

EXPERIMENT = Path(__file__).with_name("small_sweep.py")
SMALL = {"width": 4, "quiet": True, "pack_lanes": 8, "chunk_seconds": 0.0}  # packs of eight lanes, chunks of one epoch


def patch(given: dict[str, str]) -> None:
    """The injuries that are asked for."""
    from lanes import files
    from lanes.engine import session
    from lanes.storage import checkpoints, tables

    replace, written, train = os.replace, [0], session.Session.train
    slow = [0.0]
    error, after = map(int, given.get("fail", "0,0").split(","))

    def injured(source: str, target: str) -> None:
        written[0] += 1
        time.sleep(slow[0])
        if error and written[0] > after:
            raise OSError(error, os.strerror(error), str(target))
        replace(source, target)

    assert checkpoints.write_bytes is tables.write_bytes is files.write_bytes
    files.os = type(sys)("os")
    files.os.__dict__.update(os.__dict__, replace=injured)

    def announced(self: session.Session) -> int:
        slow[0] = float(given.get("slow", "0"))
        print("training", flush=True)
        return train(self)

    session.Session.train = announced


def main(out: str, **given: str) -> int:
    """The exit status of the sweep."""
    patch(given)
    from lanes.cluster.batch_jobs import parse_shard
    from lanes.describe.experiment_files import runs_of
    from lanes.describe.halving import parse_halving
    from lanes.describe.settings import with_settings
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from lanes.errors import ExitStatus
    from lanes.program.places import prepare_devices

    count = int(given.get("devices", "1"))
    prepare_devices()
    options = Options(
        **SMALL,
        devices=count,
        shard=parse_shard(given["shard"]) if "shard" in given else None,
        max_seconds=float(given["seconds"]) if "seconds" in given else None,
        halving=parse_halving(given.get("halving"), None, None),
    )
    settings = [f"epochs={given['epochs']}"] if "epochs" in given else []
    plan = make_plan(with_settings(runs_of(EXPERIMENT), settings), options)
    outcome = run_sweep(plan, Path(out), options, experiment=EXPERIMENT, command=sys.argv)
    print(*outcome.failures, outcome.summary(Path(out)), sep="\n", flush=True)
    if outcome.status == ExitStatus.STOPPED:
        os._exit(outcome.status)
    return outcome.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], **dict(word.split("=", 1) for word in sys.argv[2:])))
