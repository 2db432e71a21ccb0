"""`--shard`: the shards of the tasks of each batch system, every one once, whatever the ids of an array."""

import pytest

from lanes.cluster.batch_jobs import ARRAY, LAUNCHERS, QUEUES, parse_shard
from lanes.errors import RequestError

SLURM = ("JOB_ID", "NTASKS", "ARRAY_TASK_COUNT", "ARRAY_TASK_MIN", "ARRAY_TASK_MAX", "ARRAY_TASK_STEP")


@pytest.fixture(autouse=True)
def no_batch_system(monkeypatch):
    """As outside any job."""
    variables = [ARRAY, *(f"SLURM_{name}" for name in SLURM)]
    for system in (*QUEUES, *LAUNCHERS):
        variables += [system.task, *([system.tasks] if system.tasks else [])]
    for name in variables:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shard(monkeypatch):
    """The shard of a process with these variables."""

    def shard(text: str = "auto", **variables: object) -> tuple[int, int]:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, str(value))
            return parse_shard(text)

    return shard


def array(ids: list[int], step: int) -> list[dict[str, int]]:
    """What Slurm sets for each task of an array."""
    about = {"SLURM_ARRAY_TASK_COUNT": len(ids), "SLURM_ARRAY_TASK_MIN": min(ids), "SLURM_ARRAY_TASK_MAX": max(ids)}
    return [{"SLURM_JOB_ID": 7, ARRAY: at, "SLURM_ARRAY_TASK_STEP": step, **about} for at in ids]


def test_numbers_as_written():
    assert parse_shard("0/4") == (0, 4)
    assert parse_shard("3/4") == (3, 4)


@pytest.mark.parametrize("wrong", ["4/4", "5/4", "-1/4", "1/0", "auto/0", "auto/x", "a/b", "1", "", "1/4/2", "٣/4"])
def test_wrong_numbers_are_refused(wrong, monkeypatch):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "2")
    with pytest.raises(RequestError, match="--shard is"):
        parse_shard(wrong)


@pytest.mark.parametrize("text", ["auto", "auto/4"])
def test_outside_a_job_auto_is_refused(text):
    with pytest.raises(RequestError, match="no batch system"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("ids", "step"), [([0, 1, 2, 3], 1), ([0, 2, 4, 6], 2), ([5, 8, 11], 3), ([9], 1), ([1, 2, 3], 1), ([10, 30], 20)]
)
def test_the_tasks_of_a_regular_array_are_its_shards(ids, step, shard):
    assert [shard(**task) for task in array(ids, step)] == [(index, len(ids)) for index in range(len(ids))]


@pytest.mark.parametrize(("ids", "step"), [([1, 3, 7], 1), ([1, 3, 7], 2), ([0, 1, 5], 1), ([4, 9, 10], 1)])
def test_tasks_of_listed_ids_are_different_shards_of_one_number(ids, step, shard):
    found = [shard(**task) for task in array(ids, step)]
    assert {count for _, count in found} == {max(ids) - min(ids) + 1}
    assert [index for index, _ in found] == [at - min(ids) for at in ids]


def test_with_the_number_fixed_a_task_submitted_alone_keeps_its_shard(shard):
    together = [shard("auto/4", **task) for task in array([0, 1, 2, 3], 1)]
    assert together == [(0, 4), (1, 4), (2, 4), (3, 4)]
    (alone,) = array([2], 1)
    assert shard("auto/4", **alone) == (2, 4)
    assert shard(**alone) == (0, 1)
    from_one = {shard("auto/10", **task) for task in array(list(range(1, 11)), 1)}
    assert from_one == {(index, 10) for index in range(10)}


def test_an_array_of_jobs_of_several_processes(shard):
    found = {
        shard(**task, SLURM_NTASKS=3, SLURM_PROCID=rank, SLURM_STEP_NUM_TASKS=3)
        for task in array([0, 2], 2)
        for rank in range(3)
    }
    assert found == {(index, 6) for index in range(6)}


def test_processes_of_srun_and_of_mpirun(shard):
    job = {"SLURM_JOB_ID": 7, "SLURM_NTASKS": 2}
    assert shard(**job, SLURM_PROCID=1, SLURM_STEP_NUM_TASKS=2) == (1, 2)
    assert shard(**job, OMPI_COMM_WORLD_RANK=1, OMPI_COMM_WORLD_SIZE=2) == (1, 2)
    assert shard(PMI_RANK=4, PMI_SIZE=5) == (4, 5)
    assert shard("auto/3", PMI_RANK=4, PMI_SIZE=5) == (1, 3)


def test_several_processes_without_srun_are_told(shard, capsys):
    assert shard(SLURM_JOB_ID=7, SLURM_NTASKS=4, SLURM_PROCID=0) == (0, 1)
    assert "write srun before the command" in capsys.readouterr().err
    assert shard(SLURM_JOB_ID=7, SLURM_NTASKS=1, SLURM_PROCID=0) == (0, 1)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("queue", [queue for queue in QUEUES if queue.tasks], ids=lambda queue: queue.name)
def test_queues_that_say_both_numbers(queue, shard):
    assert shard(**{queue.task: 2, queue.tasks: 5}) == (2, 5)
    assert shard("auto/2", **{queue.task: 3}) == (1, 2)
    with pytest.raises(RequestError, match="auto/N"):
        shard(**{queue.task: 2})
    with pytest.raises(RequestError, match="below the second"):
        shard(**{queue.task: 5, queue.tasks: 5})
    with pytest.raises(RequestError, match="whole number"):
        shard(**{queue.task: "x", queue.tasks: 5})


@pytest.mark.parametrize("queue", [queue for queue in QUEUES if not queue.tasks], ids=lambda queue: queue.name)
def test_queues_that_do_not_say_how_many_there_are(queue, shard):
    assert shard("auto/8", **{queue.task: 8}) == (0, 8)
    with pytest.raises(RequestError, match="write auto/N"):
        shard(**{queue.task: 1})


def test_wrong_variables_of_slurm_are_named(shard):
    with pytest.raises(RequestError, match="SLURM_ARRAY_TASK_COUNT, which is 'four'"):
        shard(SLURM_ARRAY_TASK_ID=1, SLURM_ARRAY_TASK_COUNT="four")
    with pytest.raises(RequestError, match="SLURM_ARRAY_TASK_COUNT, which is not set"):
        shard(SLURM_ARRAY_TASK_ID=1)
    with pytest.raises(RequestError, match="auto/N"):
        shard(SLURM_ARRAY_TASK_ID=9, SLURM_ARRAY_TASK_COUNT=4, SLURM_ARRAY_TASK_MIN=0, SLURM_ARRAY_TASK_MAX=3)
