"""What a rehearsal told is found by a later plan, which traces nothing again; what is wrong is refused each time."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from lanes import Run, grid
from lanes.data.generated_plane import Blobs
from lanes.engine.options import Options
from lanes.engine.requests import Plan, make_plan
from lanes.errors import RequestError
from lanes.program import determined
from lanes.program.stored_rehearsals import FOLDER
from nets import MLP, Recurrent

BASE = Run(data=Blobs(n=60, classes=3), net=MLP(widths=(4,)), batch_size=8, epochs=1)
TRACING = "/jax/core/compile/jaxpr_trace_duration"


def planned(runs: list[Run]) -> tuple[Plan, int]:
    """A plan, and how often JAX traced something for it."""
    traced: list[str] = []

    def listen(event: str, _: float, **about: object) -> None:
        traced.extend([str(about)] if event == TRACING else [])

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        return make_plan(runs, Options(devices=1)), len(traced)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def sentences(words: int = 7) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Six tokens at a time, and the rest of the first by 3."""
    tokens = np.arange(60 * 6).reshape(60, 6) % words
    return {"train": (tokens.astype(np.int32), (tokens[:, 0] % 3).astype(np.int32))}


def more_words() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return sentences(8)


def one_class() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: (x, 0 * x[:, 0]) for name, (x, _) in sentences().items()}


def doubled(x: jax.Array) -> jax.Array:
    return 2 * x


def files(cache: Path) -> set[Path]:
    return set((cache / FOLDER).glob("*"))


SWEEP = grid(BASE, activation=["relu", "tanh", "elu"], initializer=["he_normal", "orthogonal"], dropout=[0.0, 0.1])


def test_a_second_process_traces_nothing_and_plans_the_same(cache_of_its_own):
    first, traced = planned(SWEEP)
    assert traced > 0
    assert files(cache_of_its_own)
    second, traced = planned(SWEEP)
    assert traced == 0
    assert second.shapes == first.shapes
    assert [(run.run_id, run.signature) for run in second.planned] == [(r.run_id, r.signature) for r in first.planned]
    assert second.programs == first.programs


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "sigmoid"},
        {"net": MLP(widths=(5,))},
        {"loss": "hinge"},
        {"optimizer": "momentum"},
        {"batch_size": 4},
        {"l1": 1e-4},
        {"metrics": ("top_k",), "data": Blobs(n=60, classes=8)},
        {"data": Blobs(n=61, classes=3)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_program_is_traced(cache_of_its_own, change):
    planned([BASE])
    before = files(cache_of_its_own)
    _, traced = planned([dataclasses.replace(BASE, **change)])
    assert traced > 0
    assert files(cache_of_its_own) > before


def test_numbers_alone_are_not_traced_again(cache_of_its_own):  # noqa: ARG001
    planned([BASE])
    assert planned(grid(BASE, learning_rate=[0.5], seed=[7], init_scale=[2.0]))[1] == 0


def test_what_is_wrong_is_refused_each_time(cache_of_its_own):
    """Targets of one class, which softmax cross-entropy refuses when the train step is traced."""
    wrong = [dataclasses.replace(BASE, data=one_class, net=Recurrent(widths=(4,)))]
    for _ in range(2):
        with pytest.raises(
            RequestError, match=r"^net Recurrent does not fit the task.*softmax of one output is always 1"
        ):
            planned(wrong)
    assert len(files(cache_of_its_own)) == 1  # of its initial variables, which can be drawn


def test_bounds_of_integer_data_are_part_of_what_was_rehearsed(cache_of_its_own):
    def kept(data: object, vocabulary: int) -> set[Path]:
        planned([dataclasses.replace(BASE, data=data, net=Recurrent(widths=(4,), vocabulary=vocabulary))])
        return files(cache_of_its_own)

    few, again = kept(sentences, 9), kept(sentences, 9)
    assert few == again
    assert kept(more_words, 9) > few


def test_functions_of_the_users_own_are_traced_each_time(cache_of_its_own):
    own = [dataclasses.replace(BASE, activation=doubled)]
    planned(own)
    assert planned(own)[1] > 0
    # The kernels are drawn without the activation: that alone is kept.
    assert len(files(cache_of_its_own)) == 1


@pytest.mark.parametrize("injury", ["flipped", "cut", "empty", "text"])
def test_a_damaged_file_is_traced_again(cache_of_its_own, injury):
    first, _ = planned(SWEEP)
    for path in files(cache_of_its_own):
        content = path.read_bytes()
        flipped = content[:40] + bytes([content[40] ^ 1]) + content[41:]
        path.write_bytes({"flipped": flipped, "cut": content[:-1], "empty": b"", "text": b"x" * 64}[injury])
    second, traced = planned(SWEEP)
    assert traced > 0
    assert second.shapes == first.shapes
    assert planned(SWEEP)[1] == 0


def test_a_change_of_this_projects_files_is_traced(cache_of_its_own, monkeypatch):  # noqa: ARG001
    planned([BASE])
    changed = [*determined._code(), "changed"]

    def code() -> list[str]:
        return changed

    code.__module__ = determined.__name__  # a replacement of somebody else's would be noticed
    monkeypatch.setattr(determined, "_code", code)
    assert planned([BASE])[1] > 0
