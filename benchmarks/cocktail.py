"""Random mixtures of regularizers: runs that share programs against runs whose programs have no more than they use."""

import numpy as np

from benchmarks.measuring import Table, Way, interleaved
from benchmarks.ours import WarmSweep
from benchmarks.setting import Setting
from benchmarks.works import work
from lanes import Run, grid
from lanes.engine.options import Options

DRAWS, SEEDS = 64, 4
SHARED, SEPARATE = "shared programs", "a program for each mixture"
# Of each field that a draw has on with probability ½: the least and the largest value, drawn evenly between their logarithms.
RANGES = {
    "l1": (1e-6, 1e-4),
    "l2": (1e-5, 1e-3),
    "weight_decay": (1e-4, 1e-1),
    "dropout": (0.05, 0.5),
    "label_smoothing": (0.01, 0.2),
    "input_noise": (0.01, 0.3),
    "clip": (0.5, 10.0),
}
PATIENCE = 21  # epochs: longer than the run, so that both ways train equally many steps


def mixtures(run: Run, draws: int) -> list[Run]:
    """`draws` random combinations of the fields, each trained with `SEEDS` seeds."""
    random = np.random.default_rng(0)
    changes = []
    for _ in range(draws):
        drawn = {name: float(np.exp(random.uniform(*np.log(ends)))) for name, ends in RANGES.items()}
        own: dict[str, float | int] = {name: value for name, value in drawn.items() if random.random() < 0.5}
        if "l2" in own:
            own.pop("weight_decay", None)  # a run has one of the two
        changes.append(own | ({"patience": PATIENCE} if random.random() < 0.5 else {}))
    return [
        one
        for change in changes
        for one in grid(run, {name: [value] for name, value in change.items()}, seed=range(SEEDS))
    ]


def cocktail(setting: Setting) -> Table:
    """Whole sweeps of random mixtures of eight regularizers, in a process whose programs are compiled."""
    runs = mixtures(work("sweep", setting.quick).run, 4 if setting.quick else DRAWS)
    options = {
        SHARED: Options(devices=setting.count, sharing="shared"),
        SEPARATE: Options(devices=setting.count, sharing="separate"),
    }
    sweeps = {name: WarmSweep(runs, one) for name, one in options.items()}
    rows = interleaved([Way(name, sweep) for name, sweep in sweeps.items()], setting.repetitions(3))
    table = Table("cocktail", "ms per run", rows, SEPARATE)
    table.notes = [
        f"{len(runs)} runs of the digits MLP: {len(runs) // SEEDS} draws × {SEEDS} seeds. Each draw has each of "
        f"{', '.join(RANGES)} and patience on with probability ½, but not both l2 and weight_decay; a patience of {PATIENCE} "
        "epochs ends no run, so that all train equally long.",
        *(
            f"{name}: {sweep.programs} training programs; the first sweep took {sweep.first_seconds or float('nan'):.0f} s, "
            "compilation included."
            for name, sweep in sweeps.items()
        ),
    ]
    return table
