"""Lanes against its peers: a sweep of the digits MLP, and three larger nets."""

import itertools

from benchmarks.bare import BareStep, Product
from benchmarks.measuring import Row, Table, Way, interleaved, say
from benchmarks.ours import Packs, WarmSweep
from benchmarks.peers import Peers
from benchmarks.setting import Setting
from benchmarks.works import products, source, work
from lanes import Run, grid
from lanes.engine.options import Options

SWEEP = "lanes: the whole sweep"
MODELS = 24  # in one ensemble of torch
MODULES = 1024  # most models of torch.func, which are made one by one
# Of each larger net: lanes in a pack, and the widths that suit a CPU.
PACKS = {
    "mnist_mlp": (24, (1, 2, 4)),
    "lenet": (8, (1,)),
    "rnn": (16, (1, 8)),
    "gru": (16, (1, 8)),
    "resnet20": (2, (1,)),
    "vae": (24, (1, 2, 4)),
    "conv_autoencoder": (8, (1,)),
}
CONVOLUTIONAL = ("lenet", "resnet20", "conv_autoencoder")


def sweep(setting: Setting) -> Table:
    """The digits MLP: the whole sweep, the bare step, and every peer."""
    digits_mlp = work("sweep", setting.quick)
    options = Options(devices=setting.count)
    requested = digits_mlp_runs(digits_mlp.run, quick=setting.quick)
    whole = WarmSweep(requested, options)
    lanes = 8 if setting.quick else 64
    ours = [Way(SWEEP, whole)]
    for width in setting.chosen_widths((4,)):
        in_pack = max(lanes, width)
        ours.append(
            Way(
                f"lanes: training program alone, {width} wide",
                Packs(digits_mlp, width, in_pack, setting.count, validated=True),
            )
        )
        ours.append(Way(f"bare step, {width} wide", BareStep(digits_mlp, width, in_pack, setting.devices)))
    with Peers(digits_mlp, setting.peer_python, "cpu" if setting.on_cpu else "cuda") as peers:
        ways = [*ours, *_ensembles(peers, setting), *_eager(peers, setting, (1,), evaluate=True)]
        ways.append(peers.sklearn("scikit-learn MLPClassifier, no evaluation"))
        rows, rate = _with_product(ways, setting)
        valid = digits_mlp.data.valid
        table = Table("sweep", "ms per run", rows, SWEEP, facts={"peers": peers.versions})
        table.facts |= {"runs": len(whole.requested), "first sweep s": whole.first_seconds}
        table.notes += [
            f"The digits MLP: 64-64-64-10, {digits_mlp.epochs} epochs of {digits_mlp.steps} steps of 32 examples, "
            "Adam, validation after every epoch.",
            f"{SWEEP}: {len(whole.requested)} runs, from the list of runs to the last result on disk (validated, planned, "
            "trained, checkpoints, curves, results) in a process whose programs are already compiled; "
            f"the first sweep took {whole.first_seconds or float('nan'):.1f} s, compilation included.",
            "Training program alone: a pack on every device, validation after every epoch; nothing planned or written.",
            "Bare step: plain arrays, static activation, orders made beforehand, no evaluation, nothing kept or checked.",
            *_missing(peers),
        ]
        return _with_limit(table, rate, products(digits_mlp, len(valid) if valid else 0))


def _with_product(ways: list[Way], setting: Setting) -> tuple[list[Row], float]:
    """The rows of `ways`, and the rate of a large product on all devices at once, in GFLOP/s."""
    product = Way("product", Product(setting.devices, 256 if setting.quick else 2048))
    *rows, rate = interleaved([*ways, product], setting.repetitions(5))
    return rows, rate.median


def _with_limit(table: Table, rate: float, operations: float) -> Table:
    """The table with each way's share of the product limit, and a note on what the limit is."""
    limit = 1e-6 * operations / rate
    for row in table.rows:
        row.columns["share of the product limit"] = f"{100 * limit / row.median:.1f}%" if row.values else "-"
    table.facts |= {"product GFLOP/s": rate, "GFLOP per run": 1e-9 * operations, "limit ms": limit}
    table.notes.append(
        f"Product limit: {rate:.0f} GFLOP/s in a large (2048³) float32 product on all devices at once; "
        f"a run's products are {1e-9 * operations:.2f} GFLOP, which take {limit:.2f} ms."
    )
    return table


def digits_mlp_runs(run: Run, quick: bool = False) -> list[Run]:
    """960 runs of one training program: 6 rates × 4 initializers × 40 seeds; quick: 16."""
    rates = [1e-3, 3e-3] if quick else [3e-4, 6e-4, 1e-3, 2e-3, 3e-3, 6e-3]
    initializers = (
        ["xavier_normal", "he_normal"] if quick else ["lecun_normal", "xavier_normal", "he_normal", "he_uniform"]
    )
    return grid(run, learning_rate=rates, initializer=initializers, seed=range(4 if quick else 40))


def net(name: str, setting: Setting) -> Table:
    """A larger net: the training program alone against torch eager."""
    trained = work(name, setting.quick)
    per_device, on_cpu = PACKS[name]
    widths = setting.chosen_widths(on_cpu)
    ours = [
        Way(f"lanes, {width} wide", Packs(trained, width, width if setting.quick else per_device, setting.count))
        for width in widths
    ]
    with Peers(trained, setting.peer_python, "cpu" if setting.on_cpu else "cuda") as peers:
        rows, rate = _with_product(
            [*ours, *_eager(peers, setting, (1, 2) if setting.on_cpu else (1,), channels_last=name in CONVOLUTIONAL)],
            setting,
        )
        measured = [row for row in rows[: len(ours)] if row.values]
        fastest = min(measured, key=lambda row: row.median).name if measured else None
        notes = [
            f"A run is {trained.steps} steps of {trained.run.batch_size}, Adam, without evaluation; data: {source(trained.run)}.",
            "lanes: one pack on every device, by the sweep's training program.",
            *_missing(peers),
        ]
        table = Table(name, "ms per run", rows, fastest, notes, {"peers": peers.versions})
        return _with_limit(table, rate, products(trained))


def _eager(
    peers: Peers, setting: Setting, threads: tuple[int, ...], evaluate: bool = False, channels_last: bool = False
) -> list[Way]:
    """torch eager with each number of threads and in two processes; on a GPU also CUDA graphs and torch.compile.

    With `channels_last` also in that layout of images, which suits convolutions on some machines.
    """
    if peers.missing:
        return []
    runs = 1 if setting.quick else 4
    ways = [
        peers.torch(
            f"torch eager, fused Adam, {n} thread{'s' * (n > 1)}", "eager", threads=n, runs=runs, evaluate=evaluate
        )
        for n in threads
    ]
    ways.append(peers.torch("torch eager, two processes at once", "eager", 2, runs=runs, evaluate=evaluate))
    if channels_last:
        last = {"runs": runs, "channels_last": True}
        ways.append(peers.torch("torch eager, channels-last, 2 threads", "eager", threads=2, **last))
        ways.append(peers.torch("torch eager, channels-last, two processes at once", "eager", 2, **last))
    if not setting.on_cpu:
        ways.append(peers.torch("torch.compile", "compile", runs=runs, evaluate=evaluate))
        ways.append(peers.torch("torch, CUDA graph of the step, no evaluation", "cuda_graph", runs=runs))
    return ways


def _ensembles(peers: Peers, setting: Setting) -> list[Way]:
    """Ensembles of digits MLPs in torch, in one and in two processes."""
    if peers.missing:
        return []
    kinds = {"ensemble": "hand-batched (baddbmm)", "func": "torch.func"}
    sizes, processes = ((MODELS,), (1, 2)) if setting.on_cpu else ((64, 1024, 16384), (1,))
    return [
        peers.torch(f"torch, {kind}, {models:,} models, {n} process{'es' * (n > 1)}", way, n, models=models)
        for models, (way, kind), n in itertools.product(sizes, kinds.items(), processes)
        if not (way == "func" and models > MODULES)
    ]


def _missing(peers: Peers) -> list[str]:
    if peers.missing:
        say(peers.missing)
    return [peers.missing] if peers.missing else []
