"""A Slurm of one node on this machine, with a configuration, a key and ports of its own, for as long as a block lasts."""

import contextlib
import getpass
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

DEVICES = ("null", "zero", "full", "random")  # files that stand for GPUs: Slurm counts them and does nothing with them
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")
CONFIGURATION = """
ClusterName=lanes
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=15
ReturnToService=2
MailProg=/bin/true
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=128000 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=cancelling Nodes={host} MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""  # 16 processors are a number only: what the batch scripts ask for fits, and nothing is bound


class NoSlurmError(Exception):
    """Why there is no Slurm here."""


class Slurm:
    """Calls the programs of a Slurm."""

    def __init__(self, folder: Path):
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def __call__(self, *words: object, check: bool = True, cwd: Path | None = None, **variables: str) -> str:
        """What a program prints."""
        done = subprocess.run(
            [str(word) for word in words],
            env=self.environment | variables,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def about(self, job: str, name: str) -> str:
        """A fact of a job, as `scontrol show job` says it."""
        words = self("scontrol", "show", "job", job).split()
        return next((word.partition("=")[2] for word in words if word.startswith(f"{name}=")), "")

    def wait(self, what: Callable[[], object], seconds: float, why: Callable[[], object] = str) -> None:
        """Wait until something holds."""
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, why()
            time.sleep(0.3)

    def limit(self, job: str) -> None:
        """Give a running job a time limit that it reaches in one to two minutes; Slurm counts in minutes."""
        *hours, minutes, _ = (int(part) for part in self.about(job, "RunTime").replace("-", ":").split(":"))
        self("scontrol", "update", f"jobid={job}", f"TimeLimit={60 * (hours[-1] if hours else 0) + minutes + 2}")

    def at_once(self, job: str) -> None:
        """Let a requeued job start soon, which Slurm would let wait for two minutes, so that what is left of it can end."""
        self.wait(lambda: self.about(job, "JobState") == "PENDING", 120, lambda: self("scontrol", "show", "job", job))
        time.sleep(5)
        self("scontrol", "update", f"jobid={job}", "StartTime=now")


@contextlib.contextmanager
def slurm() -> Iterator[Slurm]:
    """A Slurm that has started. Raises NoSlurmError where there can be none."""
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise NoSlurmError(f"{', '.join(lacking)} not installed (Debian: slurm-wlm, munge)")
    if os.geteuid() != 0:
        raise NoSlurmError("slurmd starts jobs as root only")
    folder = Path(tempfile.mkdtemp(prefix="lanes-slurm-"))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = platform.node().partition(".")[0]
    text = CONFIGURATION.format(host=host, folder=folder, user=getpass.getuser(), ports=_free_ports(2))
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text("".join(f"Name=gpu File=/dev/{name}\n" for name in DEVICES))
    (folder / "cgroup.conf").write_text("")
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    here = Slurm(folder)
    daemons = []
    try:
        munged = [f"--{kind}-file={folder}/{kind}" for kind in ("key", "pid", "seed", "log")]
        daemons.append(_start(folder, "munged", "-F", "-f", f"--socket={folder}/munge.socket", *munged))
        _until(folder, "munged", (folder / "munge.socket").exists, daemons)
        daemons.append(_start(folder, "slurmctld", "-D", "-f", folder / "slurm.conf"))
        daemons.append(_start(folder, "slurmd", "-D", "-f", folder / "slurm.conf", "-N", host))
        _until(folder, "slurmctld", lambda: "idle" in here("sinfo", "-h", "-o", "%T", check=False), daemons)
        yield here
    finally:
        if len(daemons) == 3:
            here("scancel", "--user", getpass.getuser(), check=False)
            with contextlib.suppress(AssertionError):
                here.wait(lambda: not here("squeue", "-h", check=False), 30)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, *words: object) -> "subprocess.Popen[bytes]":
    with open(folder / f"{words[0]}.out", "wb") as out:
        return subprocess.Popen([str(word) for word in words], stdout=out, stderr=out, cwd=folder)


def _until(
    folder: Path, name: str, what: Callable[[], object], daemons: list["subprocess.Popen[bytes]"], seconds: float = 30
) -> None:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until or any(daemon.poll() is not None for daemon in daemons):
            last = (folder / f"{name}.out").read_text(errors="replace").strip().splitlines()[-1:]
            raise NoSlurmError(f"it does not start: {name} says {' '.join(last)!r}")
        time.sleep(0.2)


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
