"""Devices and the mappings of packs onto them, also in whole sweeps."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import OWN_ACTIVATION as BASE

import lanes
from lanes import Run, grid
from lanes.engine.fresh_lanes import FreshLanes, LaneShapes
from lanes.engine.options import Options
from lanes.engine.requests import make_plan
from lanes.errors import RequestError
from lanes.plan.datasets import Datasets
from lanes.plan.packs import make_packs, numbers_of
from lanes.program import initialization, lane, memory, xla_flags
from lanes.program.compiled import Compiled
from lanes.program.over_lanes import over_lanes, split_batch
from lanes.program.places import Place, make_places, prepare_devices, select_devices
from lanes.program.step import train_step
from lanes.results import tables
from lanes.storage.directory import Directory

CHECKOUT = Path(__file__).parents[3]
HERE = Place((jax.devices()[0],), "local")


# ---- devices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1, 9, 99])
def test_a_missing_device_is_an_error_of_one_line(count):
    with pytest.raises(RequestError) as error:
        make_plan([Run()], Options(devices=count))
    assert str(error.value) == f"--devices is {count}: there are 8 (cpu); choose 1 to 8"


def test_an_unknown_mapping_is_an_error_of_one_line():
    with pytest.raises(RequestError, match=r"^--mapping is 'vmap': it must be one of local, shard_map, pmap, data$"):
        make_plan([Run()], Options(mapping="vmap"))


def test_local_has_one_place_per_device_and_other_mappings_one_place_of_all():
    assert [place.shards for place in make_places(jax.devices()[:3], "local")] == [1, 1, 1]
    assert [place.shards for place in make_places(jax.devices()[:3], "pmap")] == [3]


COMPILED_TWICE = """
import os, jax, jax.numpy as jnp
from lanes.program.places import prepare_devices
prepare_devices()
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
for device in jax.devices():
    x = jax.device_put(jnp.full((4, 4), 3.0), device)
    program = jax.jit(lambda x: jnp.tanh(x @ x)).lower(x).compile()
    assert program(x).devices() == {device}
cached = os.listdir(os.environ["LANES_CACHE_DIR"] + "/programs")
print(sum(name.startswith("jit__lambda") and name.endswith("-cache") for name in cached))
"""


def test_host_devices_share_compiled_programs(tmp_path):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "LANES_CACHE_DIR": str(tmp_path), "XLA_FLAGS": ""}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED_TWICE],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


COUNTS = """
from lanes.program.places import cores, prepare_devices
prepare_devices()
import jax
print(jax.local_device_count(), cores())
"""


@pytest.mark.parametrize(
    "flags",
    [
        "--xla_force_host_platform_device_count=3",
        pytest.param("--xla_cpu_enable_fast_math=false", marks=pytest.mark.slow),
    ],
)
def test_there_are_as_many_host_devices_as_cores_unless_the_user_sets_a_number(flags):
    if not xla_flags.accepted([flags]):
        pytest.skip(f"XLA here does not know {flags}")
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", COUNTS], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
    )
    devices, cores = map(int, done.stdout.split())
    assert devices == (3 if "=3" in flags else cores)


def test_with_jax_running_its_devices_are_used():
    prepare_devices()
    assert jax.local_device_count() == 8


def test_a_platform_that_is_not_there_is_one_line(monkeypatch):
    def missing():
        raise RuntimeError("Unable to initialize backend 'cuda'\nmore")

    monkeypatch.setattr(jax, "local_devices", missing)
    with pytest.raises(
        RequestError, match=r"no device of JAX_PLATFORMS=.*Unable to initialize backend 'cuda'\): unset"
    ):
        select_devices(None)


@pytest.mark.parametrize("name", ["jax_enable_x64", "jax_debug_nans"])
def test_settings_under_which_runs_cannot_train_are_refused(name):
    jax.config.update(name, True)
    try:
        with pytest.raises(RequestError, match=f"{name} is True"):
            prepare_devices()
    finally:
        jax.config.update(name, False)


# ---- programs ------------------------------------------------------------------------------------------------------


def test_a_program_is_compiled_once_per_place_whichever_thread_requests_it():
    compiled, traced = Compiled(), []

    def double(x):
        traced.append(x)
        time.sleep(0.05)
        return 2 * x

    places = make_places(jax.devices()[:2], "local")
    results = {}

    def request(at):
        place = places[at % 2]
        x = place.split(jnp.full(2, float(at)))
        results[at] = compiled.get(("double",), place, double, 1, (x,))(x)

    threads = [threading.Thread(target=request, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {at: float(result[0]) for at, result in results.items()} == {at: 2.0 * at for at in range(6)}
    assert len(traced) == 1
    assert compiled.keys == [("double",)]
    assert compiled.seconds["double",] > 0.04
    assert compiled.is_begun(("double",))
    assert not compiled.is_begun(("triple",))


def test_a_program_that_does_not_fit_is_refused_before_it_runs(monkeypatch):
    x = HERE.split(jnp.ones((64, 64)))
    get = lambda compiled: compiled.get(("square",), HERE, lambda x: jnp.sin(x @ x) @ x, 1, (x,))  # noqa: E731
    needed = memory.taken(get(Compiled()))
    assert needed >= x.nbytes
    monkeypatch.setattr(memory, "free", lambda _: needed)
    get(Compiled())
    with pytest.raises(memory.NotEnoughMemoryError, match=r"^0 MB are needed on cpu, 0 MB are free$"):
        get(Compiled(sharers=2))
    monkeypatch.setattr(memory, "free", lambda _: None)
    get(Compiled(sharers=2))


@pytest.mark.parametrize("mapping", ["local", "shard_map"])
def test_a_program_compiled_from_shapes_takes_arrays_of_those_shapes(mapping):
    (place,) = make_places(jax.devices()[: 1 if mapping == "local" else 2], mapping)
    lanes_, shared = np.arange(8), np.ones(3)
    like = place.like(lanes_, split=True), place.like(shared, split=False)
    compiled = Compiled()
    program = compiled.get(("sum",), place, lambda x, y: x + jnp.sum(y).astype(x.dtype), 1, like)
    args = place.split(lanes_), place.shared(shared)
    np.testing.assert_array_equal(program(*args), np.arange(8) + 3)
    assert compiled.get(("sum",), place, None, 1, args) is program  # type: ignore[arg-type]


# ---- whole sweeps --------------------------------------------------------------------------------------------------

SWEEP = grid(BASE, learning_rate=[0.01, 0.05], seed=range(8))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, optimized_programs):
    """Directories of the sweep by number of devices, with mapping local; each is trained on first use."""

    class Folders(dict):
        def __missing__(self, count):
            self[count] = tmp_path_factory.mktemp(f"devices{count}")
            lanes.sweep(SWEEP, self[count], width=2, devices=count, quiet=True, programs=optimized_programs())
            return self[count]

    return Folders()


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_local_is_bit_equal_for_any_number_of_devices(trained, count):
    """Results, curves and parameters are equal, though the packs differ."""
    ignored = ["seconds", "calls", "pack", "lane", "pack_shape", "program"]
    alone, many = (lanes.load(trained[n]).set_index("run_id").sort_index() for n in (1, count))
    assert len(set(many["pack"])) == count > len(set(alone["pack"]))
    assert alone.drop(columns=ignored).equals(many.drop(columns=ignored))
    curves = [tables.load_curves(trained[n]).sort_values(["run_id", "epoch"], ignore_index=True) for n in (1, count)]
    assert len(curves[0]) == 2 * len(SWEEP)
    assert curves[0].equals(curves[1])
    for run_id in alone.index[:: len(alone) // 4]:
        (_, first), (_, other) = (lanes.restore(trained[n], run_id) for n in (1, count))
        jax.tree.map(np.testing.assert_array_equal, first, other)


def test_fresh_lanes_have_the_types_of_restored_ones():
    """With a weak type the training program would be compiled again, ahead of time and after a resume."""
    plan = make_plan(SWEEP[:2], Options(devices=1))
    (pack,) = make_packs(plan.planned, {member.signature: 2 for member in plan.planned}, 1, 1)
    fresh = FreshLanes(HERE, Compiled(), LaneShapes(plan.datasets)).make(pack, numbers_of(pack))
    assert [leaf.weak_type for leaf in jax.tree.leaves(fresh)] == [False] * len(jax.tree.leaves(fresh))


@pytest.mark.slow
def test_the_directory_names_the_devices(trained):
    assert len(Directory(trained[2]).read_sweep()["devices"]) == 2
    assert set(lanes.load(trained[2])["device"]) == {"cpu"}


def test_precision_reaches_the_products_and_parameters_stay_float32(tmp_path):
    """bfloat16 rounds to 8 bits, so losses move by about 2⁻⁸; the matrix product's precision is part of the program."""
    sweep = grid(BASE, precision=["float32", "bfloat16"], seed=range(2))
    lanes.sweep(sweep, tmp_path, width=2, devices=2, quiet=True)
    table = lanes.load(tmp_path).set_index(["seed", "precision"])
    for seed in range(2):
        whole, half = table.loc[(seed, "float32")], table.loc[(seed, "bfloat16")]
        assert 0 < abs(whole["train_loss"] - half["train_loss"]) < 0.1
    for run_id in lanes.load(tmp_path)["run_id"]:
        _, variables = lanes.restore(tmp_path, run_id)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("precision", "name"), [("high", "HIGH"), ("highest", "HIGHEST")])
def test_matmul_precision_is_that_of_every_product(precision, name):
    """A CPU always computes in float32; the program states the run's precision, which a GPU or a TPU follows."""
    plan = make_plan([dataclasses.replace(BASE, matmul_precision=precision)], Options(devices=1))
    setup, run = plan.planned[0].setup, plan.planned[0].run
    data = Datasets().of(run)
    batch = jnp.asarray(data.train.x[:16]), jnp.asarray(data.train.y[:16])
    variables = initialization.initial_variables(setup, run, (data.train.x, data.offset, data.scale))
    begin = lane.start(setup, run, variables["params"], variables["rest"], jnp.asarray(False)).trained
    step = lambda state: train_step(setup, run, state, batch, jnp.ones(()), jnp.int32(0))  # noqa: E731
    operations = jax.make_jaxpr(step)(begin).jaxpr.eqns
    found = [str(product.params["precision"]) for product in operations if product.primitive.name == "dot_general"]
    assert len(found) >= 4  # two layers forward, two kernels' gradients
    assert all(name in text for text in found)


def test_a_batch_split_over_devices_trains_as_on_one(trained, tmp_path):
    """Sums over examples are made in parts, so losses agree to float32 rounding; noise and order are the same."""
    few = SWEEP[:4]
    lanes.sweep(few, tmp_path, width=2, devices=4, mapping="data", quiet=True)
    alone, split = (lanes.load(folder).set_index("run_id") for folder in (trained[1], tmp_path))
    names = ["train_loss", "valid_loss", "test_loss"]
    np.testing.assert_allclose(split[names], alone.loc[split.index, names], rtol=2e-5)
    assert set(split["device"]) == {"cpu x4"}
    assert set(split["mapping"]) == {"data"}


def test_every_device_computes_its_part_of_a_batch():
    place = make_places(jax.devices()[:4], "data")[0]
    lanes_, shared = place.split(jnp.ones((2, 8, 3))), place.shared(jnp.ones((16, 8)))
    function = lambda lanes_, x: over_lanes(lambda weights: jnp.sum(jnp.tanh(split_batch(x) @ weights)), 2)(lanes_)  # noqa: E731
    text = Compiled().get(("product",), place, function, 1, (lanes_, shared)).as_text()
    assert "all-reduce" in text
    assert "f32[4,8]" in text, "a quarter of the 16 examples"


def test_a_batch_that_cannot_be_split_is_an_error_of_one_line():
    with pytest.raises(
        RequestError, match=r"^batch_size is 18 and --mapping data splits it over 4 devices: it must be"
    ):
        make_plan([dataclasses.replace(BASE, batch_size=18)], Options(mapping="data", devices=4))
