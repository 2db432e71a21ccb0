"""Runs that are longer versions of finished ones, and whether going on from these gives what one longer run would."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from lanes.describe import runs
from lanes.engine.fresh_lanes import LaneShapes
from lanes.engine.requests import Plan, in_programs
from lanes.plan.packs import Pack, numbers_of
from lanes.plan.planned import Planned
from lanes.program.rehearsal import reads_length
from lanes.program.sharing import sharing_of
from lanes.storage.directory import Directory
from lanes.storage.finished import Finished, finished_in


def going_on(plan: Plan, directory: Directory, ranked: bool) -> Plan:
    """The plan, whose runs that are new to the directory go on from its finished runs which differ only in a smaller `epochs`.

    Says how many do, and how many train from the start since the result would differ.

    Args:
        plan: of runs in their recorded programs.
        directory: of the sweep.
        ranked: whether a halving ranks the runs against each other; then none goes on.
    """
    known = set(directory.read_runs(["run_id"]).get("run_id", ())) if directory.path.is_dir() else set()
    new = [member for member in plan.planned if member.run_id not in known and member.run_id not in plan.continued]
    if not known or not new:
        return plan
    candidates = shorter(new, finished_in(directory))
    if ranked:
        candidates = {}
    reasons = {
        member.run_id: inexact(plan, member, candidates[member.run_id]) for member in new if member.run_id in candidates
    }
    exact = {run_id: candidates[run_id] for run_id, reason in reasons.items() if reason is None}
    if exact:
        lengths = ", ".join(map(str, sorted({source.epochs for source in exact.values()})))
        directory.warn(f"{len(exact)} runs go on from finished ones of {lengths} epochs")
    for reason in sorted({reason for reason in reasons.values() if reason is not None}):
        count = sum(other == reason for other in reasons.values())
        directory.warn(f"{count} runs differ from finished ones only in epochs and train from the start: {reason}")
    return with_sources(plan, exact)


def with_sources(plan: Plan, sources: Mapping[str, Finished]) -> Plan:
    """The plan with runs that go on from these, by run_id, in the programs that trained them."""
    if not sources:
        return plan
    plan = in_programs(plan, {run_id: sharing_of(source.program) for run_id, source in sources.items()})
    return dataclasses.replace(plan, continued={**plan.continued, **sources})


def shorter(planned: list[Planned], finished: Mapping[str, Finished]) -> dict[str, Finished]:
    """For each run, by run_id, the longest of the finished runs that differ from it only in a smaller `epochs`."""
    lengths = sorted({source.epochs for source in finished.values()}, reverse=True)
    out: dict[str, Finished] = {}
    for member in planned:
        if member.run.steps is not None:
            continue
        for epochs in lengths:
            run_id = member.descriptions.run_id(dataclasses.replace(member.run, epochs=epochs))
            if epochs < member.run.epochs and run_id in finished:
                out[member.run_id] = finished[run_id]
                break
    return out


def inexact(plan: Plan, member: Planned, source: Finished) -> str | None:
    """Why going on from a finished run differs from one longer run; None if it is the same, bit for bit."""
    run = member.run
    if source.epochs % run.eval_every:
        return f"epoch {source.epochs}, their last, was evaluated, and eval_every={run.eval_every} leaves it out of a longer run"
    if not sharing_of(source.program).allows(run):
        return "they cannot be trained by the program of the finished ones"
    pack = Pack((member,), 1, 1)
    numbers = numbers_of(pack)
    lanes = LaneShapes(plan.datasets).lanes(pack, numbers)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (lanes, numbers))
    train = plan.datasets.of(run).train
    x_dtype = jnp.int32 if train.x.dtype == jnp.int32 else jnp.float32
    batch = (
        jax.ShapeDtypeStruct((run.batch_size, *train.x.shape[1:]), x_dtype),
        jax.ShapeDtypeStruct((run.batch_size, *train.y.shape[1:]), train.y.dtype),
    )
    if "epochs" in runs.numbers(run) and reads_length(member.setup, one[1], one[0], batch):
        return "what a step does depends on the length of the run, as by a schedule that ends with it"
    return None
