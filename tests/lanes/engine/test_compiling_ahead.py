"""Which programs are compiled ahead of their turn and for which places, and which are forgotten once no pack needs them."""

import dataclasses
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import jax
import jax.numpy as jnp

from lanes import Run, grid
from lanes.engine.compiling_ahead import Ahead
from lanes.engine.fresh_lanes import drawing_keys, start_key
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.engine.resident_epochs import training_key
from lanes.engine.runner import run_sweep
from lanes.engine.spent_programs import SpentPrograms
from lanes.errors import ExitStatus
from lanes.plan.packs import make_packs
from lanes.program.compiled import Compiled, Programs
from lanes.program.places import make_places
from nets import MLP

HERE, THERE = make_places(jax.devices()[:2], "local")


class RecordingPrograms:
    """Programs that are only recorded."""

    def __init__(self, place=HERE):
        self.context, self.place, self.made = SimpleNamespace(compiled=Compiled()), place, []

    def train(self, pack):
        self.made.append(pack.signature)
        self.context.compiled.get(training_key(pack), HERE, lambda x: x, 0, (jnp.zeros(1),))


class FakePack:
    """A pack of nothing but a signature."""

    def __init__(self, signature):
        self.signature, self.width, self.size, self.seeds = signature, 1, 1, 1


def negative(x):
    return -x


class Begun:
    """The packs that places are at, as the thread sees them each time it polls."""

    def __init__(self, packs=None):
        self.packs, self.polls = packs or {}, 0

    def __call__(self):
        self.polls += 1
        return self.packs

    def wait_for_polls(self, count):
        """Wait until the thread has polled `count` times, compiled what it found, and polled again."""
        until, patience = self.polls + count + 1, time.monotonic() + 60
        while self.polls < until:
            assert time.monotonic() < patience
            time.sleep(0.005)


def test_at_most_one_program_is_compiled_ahead():
    programs, waiting, begun = (
        [RecordingPrograms(), RecordingPrograms()],
        [FakePack(name) for name in "aabbcc"],
        Begun(),
    )
    with Ahead(programs, begun, lambda: waiting, poll_seconds=0.01):
        for taken, expected in enumerate(["a", "ab", "ab", "abc", "abc", "abc"]):
            begun.wait_for_polls(2)
            assert "".join(programs[0].made) == "".join(programs[1].made) == expected, taken
            waiting.pop(0)


def test_programs_of_the_packs_begun_are_compiled_first():
    class Streamed(RecordingPrograms):
        def train(self, pack):
            if pack.signature == "streamed":
                self.made.append(pack.signature)
            else:
                super().train(pack)

    one, begun = Streamed(), Begun({HERE: FakePack("streamed"), THERE: FakePack("b")})
    with Ahead([one], begun, lambda: [FakePack("a"), FakePack("c")], poll_seconds=0.01):
        begun.wait_for_polls(5)
    assert one.made == ["streamed", "b", "a"]


def test_errors_of_compiling_ahead_are_left_to_training():
    class Failing(RecordingPrograms):
        def train(self, pack):
            super().train(pack)
            raise ValueError("too large")

    one, waiting, begun = Failing(), [FakePack("a"), FakePack("b")], Begun()
    with Ahead([one], begun, lambda: waiting, poll_seconds=0.01):
        begun.wait_for_polls(2)
        waiting.pop(0)
        begun.wait_for_polls(2)
    assert one.made == ["a", "b"]


def test_a_program_is_traced_before_xla_compiles_it_and_found_before_it_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path))
    seen = []

    def get(programs):
        key, args = ("train", "a"), (jnp.zeros(1),)
        return programs.get(
            key, HERE, negative, 0, args, stored=True, traced=lambda: seen.append(len(programs._programs))
        )

    assert get(Programs())(jnp.ones(1)) == -1
    assert get(Programs())(jnp.ones(1)) == -1  # from disk
    assert seen == [0, 0]


def test_places_load_a_program_from_disk_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setenv("LANES_CACHE_DIR", str(tmp_path))
    key, args = ("train", "b"), (jnp.zeros(1),)
    Compiled().get(key, HERE, negative, 0, args, stored=True)
    loads, together = pickle.loads, threading.Barrier(2, timeout=60)

    def loading(content):
        if threading.current_thread().name.startswith("placing"):
            together.wait()  # raises unless both are here
        return loads(content)

    monkeypatch.setattr(pickle, "loads", loading)
    compiled, began = Compiled(), time.perf_counter()
    with ThreadPoolExecutor(2, thread_name_prefix="placing") as pool:
        list(pool.map(lambda place: compiled.get(key, place, negative, 0, args, stored=True), (HERE, THERE)))
    assert not together.broken
    assert together.n_waiting == 0
    assert compiled.keys == [key]
    assert 0 < compiled.seconds[key] <= time.perf_counter() - began  # not once for each place


def test_a_program_that_one_pack_needs_is_compiled_for_the_place_that_took_it():
    programs = RecordingPrograms(HERE), RecordingPrograms(THERE)
    begun, waiting = Begun({THERE: FakePack("a")}), [FakePack("b"), FakePack("c"), FakePack("c")]
    with Ahead(programs, begun, lambda: waiting, poll_seconds=0.01):
        begun.wait_for_polls(3)
        assert [one.made for one in programs] == [["b"], ["a"]]  # the first place compiles for who comes first
        begun.packs = {HERE: waiting.pop(0), THERE: begun.packs[THERE]}
        begun.wait_for_polls(3)
        assert [one.made for one in programs] == [["b", "c"], ["a", "c"]]


# ---- programs that no pack left needs ------------------------------------------------------------------------------

BASE = Run(data="digits", batch_size=32, epochs=1, train_examples=64)
NETS = [MLP(widths=(width,)) for width in (4, 6, 8, 10)]


def test_programs_are_forgotten_with_the_last_pack_that_needs_them():
    """Two packs of one program, one with another loss that draws by the same program, and one of another net."""
    small, large = (dataclasses.replace(BASE, net=net) for net in NETS[:2])
    runs = [*grid(small, learning_rate=[0.1, 0.2]), *grid(small, loss=["hinge"]), large]
    options = Options(devices=1, width=1, quiet=True, sharing="separate")
    plan = make_plan(runs, options)
    widths = {planned.signature: 1 for planned in plan.planned}
    packs = make_packs(plan.planned, widths, workers=1, shards=1, most=widths)
    first, second = (pack for pack in packs if sum(pack.signature == other.signature for other in packs) == 2)
    hinge = next(p for p in packs if p.signature != first.signature and drawing_keys(p) == drawing_keys(first))
    other = next(pack for pack in packs if drawing_keys(pack) != drawing_keys(first))
    all_keys = {key for p in packs for key in (training_key(p), start_key(p), *((*k, 1) for k in drawing_keys(p)))}
    left = set(all_keys)
    compiled = SimpleNamespace(forget=lambda is_spent: left.difference_update([key for key in left if is_spent(key)]))
    spent = SpentPrograms(compiled, packs)
    spent.ended(first)
    assert left == all_keys
    spent.ended(second)
    assert all_keys - left == {training_key(first), start_key(first)}
    spent.ended(other)
    assert not {training_key(other), start_key(other), *((*k, 1) for k in drawing_keys(other))} & left
    spent.ended(hinge)
    assert not left


def test_a_sweep_of_many_nets_holds_the_programs_of_few(tmp_path):
    def live() -> int:
        return len(jax.devices()[0].client.live_executables())

    before, found = live(), []
    options = Options(
        devices=1, width=1, quiet=True, sharing="separate", after_chunk=lambda *_: found.append(live() - before)
    )
    outcome = run_sweep(make_plan(grid(BASE, net=NETS), options), tmp_path / "out", options)
    assert outcome.status == ExitStatus.DONE, outcome.failures
    assert len(found) == len(NETS)
    assert max(found) <= 2 * 4 + 1, found  # a pack's four, those of the next pack, and one that JAX itself compiled
