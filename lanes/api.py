"""The public interface: everything that `lanes` exports, with `sweep`, `train` and `identify` for scripts and notebooks.

What describes runs is imported at once; what trains them or reads their results, and pandas with it, on first use.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import flax.linen as nn

from lanes.data.digits import Digits
from lanes.data.generated_sets import (
    XOR,
    Adding,
    Blobs,
    Circles,
    ConvexRegions,
    Copy,
    Gates,
    Moons,
    Parity,
    Polynomial,
    ShapeSet,
    Sine,
    Spirals,
)
from lanes.data.given import Labels, Numbers, Tokens
from lanes.data.loading import DATASETS, Dataset, Split, from_arrays
from lanes.data.mnist1d import MNIST1D
from lanes.data.own_images import Images
from lanes.data.own_table import Table
from lanes.data.own_text import Text
from lanes.data.split_columns import split_by
from lanes.data.tfds import TFDS
from lanes.describe.distributions import choice, log_uniform, uniform
from lanes.describe.grids import grid, sample, zipped
from lanes.describe.halving import Halving
from lanes.describe.runs import Run
from lanes.errors import ExitStatus, RequestError, warn
from lanes.recipe.augmentations import AUGMENTATIONS, CutMix, Mixup
from lanes.recipe.augmentations_geometric import Affine, Crop, Mirror, Rotate, TimeShift, Translate
from lanes.recipe.augmentations_noise import (
    Brightness,
    Contrast,
    Cutout,
    GaussianNoise,
    MaskingNoise,
    PCAJitter,
    SaltAndPepper,
)
from lanes.recipe.averages import AVERAGES, EMA, SWA, ScheduleFree
from lanes.recipe.optimizers import (
    LAMB,
    LBFGS,
    OPTIMIZERS,
    SGD,
    SGLD,
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Momentum,
    Nesterov,
    RMSProp,
)
from lanes.recipe.rules import RULES, ContrastiveDivergence, DeltaRule, Evolution, Gradient, MuLambda, PerceptronRule
from lanes.recipe.schedules import SCHEDULES, Constant, Cosine, Exponential, Linear, Ramp, ReduceOnPlateau, Step, Warmup
from lanes.recipe.strengths import Scheduled
from lanes.recipe.tasks import TASKS
from lanes.recipe.tasks_classifying import Classify, IntegerCoded, MultiLabel, NextToken
from lanes.recipe.tasks_reconstructing import Adversarial, Elbo, Impute, Reconstruct
from lanes.recipe.tasks_regressing import GaussianLikelihood, Regress
from losses import Metric
from nets.inspection import summary

if TYPE_CHECKING:
    import pandas as pd

    from lanes.engine.callbacks import Reached
    from lanes.reporting.trackers import JSONLines, TensorBoard, WandB
    from lanes.results.continued import continue_run
    from lanes.results.diagnosing import Diagnose
    from lanes.results.diagnosis import diagnose
    from lanes.results.encoded import Encoded
    from lanes.results.exporting import export
    from lanes.results.intervals import Interval
    from lanes.results.predicting import predict
    from lanes.results.tables import load, load_curves
    from lanes.results.verdicts import Results, Verdict
    from lanes.results.written_text import write_text
    from lanes.storage.trained import Variables, open_run, restore

ON_USE = {
    "Diagnose": "lanes.results.diagnosing",
    "Encoded": "lanes.results.encoded",
    "Interval": "lanes.results.intervals",
    "JSONLines": "lanes.reporting.trackers",
    "Reached": "lanes.engine.callbacks",
    "Results": "lanes.results.verdicts",
    "TensorBoard": "lanes.reporting.trackers",
    "Verdict": "lanes.results.verdicts",
    "WandB": "lanes.reporting.trackers",
    "continue_run": "lanes.results.continued",
    "diagnose": "lanes.results.diagnosis",
    "export": "lanes.results.exporting",
    "load": "lanes.results.tables",
    "load_curves": "lanes.results.tables",
    "open_run": "lanes.storage.trained",
    "predict": "lanes.results.predicting",
    "restore": "lanes.storage.trained",
    "write_text": "lanes.results.written_text",
}  # the modules of what is imported on first use

__all__ = [
    "AUGMENTATIONS",
    "AVERAGES",
    "DATASETS",
    "EMA",
    "LAMB",
    "LBFGS",
    "MNIST1D",
    "OPTIMIZERS",
    "RULES",
    "SCHEDULES",
    "SGD",
    "SGLD",
    "SWA",
    "TASKS",
    "TFDS",
    "XOR",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adding",
    "Adversarial",
    "Affine",
    "Blobs",
    "Brightness",
    "Circles",
    "Classify",
    "Constant",
    "Contrast",
    "ContrastiveDivergence",
    "ConvexRegions",
    "Copy",
    "Cosine",
    "Crop",
    "CutMix",
    "Cutout",
    "Dataset",
    "DeltaRule",
    "Diagnose",
    "Digits",
    "Elbo",
    "Encoded",
    "Evolution",
    "Exponential",
    "Gates",
    "GaussianLikelihood",
    "GaussianNoise",
    "Gradient",
    "Halving",
    "Images",
    "Impute",
    "IntegerCoded",
    "Interval",
    "JSONLines",
    "Labels",
    "Linear",
    "Lion",
    "MaskingNoise",
    "Metric",
    "Mirror",
    "Mixup",
    "Momentum",
    "Moons",
    "MuLambda",
    "MultiLabel",
    "Nesterov",
    "NextToken",
    "Numbers",
    "PCAJitter",
    "Parity",
    "PerceptronRule",
    "Polynomial",
    "RMSProp",
    "Ramp",
    "Reached",
    "Reconstruct",
    "ReduceOnPlateau",
    "Regress",
    "RequestError",
    "Results",
    "Rotate",
    "Run",
    "SaltAndPepper",
    "ScheduleFree",
    "Scheduled",
    "ShapeSet",
    "Sine",
    "Spirals",
    "Split",
    "Step",
    "Table",
    "TensorBoard",
    "Text",
    "TimeShift",
    "Tokens",
    "TrainedRun",
    "Translate",
    "Verdict",
    "WandB",
    "Warmup",
    "choice",
    "continue_run",
    "diagnose",
    "export",
    "from_arrays",
    "grid",
    "identify",
    "load",
    "load_curves",
    "log_uniform",
    "open_run",
    "predict",
    "restore",
    "sample",
    "split_by",
    "summary",
    "sweep",
    "train",
    "uniform",
    "write_text",
    "zipped",
]


def __getattr__(name: str) -> Any:
    if name in ON_USE:
        return getattr(importlib.import_module(ON_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class TrainedRun(NamedTuple):
    """One trained run: its net, the variables of its best epoch, its row of the results, its curves."""

    net: nn.Module
    variables: Variables
    results: pd.Series
    curves: pd.DataFrame


def sweep(runs: Iterable[Run], out: str | os.PathLike[str], **options: Any) -> pd.DataFrame:
    """Train a list of runs into a directory and return its table (`load`); repeating the call resumes.

    An interrupt (Ctrl-C, a notebook's stop button) saves the state and returns the table so far.

    Args:
        runs: the runs to train; equal runs are trained once.
        out: the run directory.
        options: fields of `lanes.engine.options.Options`: width, devices, mapping, max_seconds, data_dir, quiet, halving,
            callbacks and others.

    Raises RequestError for a wrong request, before anything is started or written.
    """
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from lanes.program.places import prepare_devices
    from lanes.results.tables import load

    settings = Options(**options)
    prepare_devices()
    outcome = run_sweep(make_plan(runs, settings), Path(out), settings)
    for line in outcome.failures:
        warn(line)
    if outcome.status == ExitStatus.STOPPED:
        warn(f"stopped with {outcome.ended} of {outcome.planned} runs ended, all saved: repeat the call to resume")
    return load(out)


def train(run: Run, out: str | os.PathLike[str] | None = None, **options: Any) -> TrainedRun:
    """Train one run, as a sweep of one lane; without `out` nothing is kept on disk.

    Raises RequestError for a wrong request, and RuntimeError if the run fails.
    """
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan
    from lanes.engine.runner import run_sweep
    from lanes.program.places import prepare_devices
    from lanes.results.tables import load, load_curves
    from lanes.storage.trained import restore

    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary) if out is None else Path(out)
        settings = Options(**{"quiet": True, **options})
        prepare_devices()
        plan = make_plan([run], settings)
        outcome = run_sweep(plan, directory, settings)
        if outcome.failures:
            raise RuntimeError(outcome.failures[0])
        run_id = plan.planned[0].run_id
        net, variables = restore(directory, run_id, data_dir=settings.data_dir)
        table = load(directory).set_index("run_id")
        curves = load_curves(directory)
        return TrainedRun(net, variables, table.loc[run_id], curves[curves["run_id"] == run_id].reset_index(drop=True))


def identify(run: Run, data_dir: str | None = None) -> str:
    """The run_id of a run before it is trained, for the `init_from` of runs that start from it.

    Args:
        run: the run.
        data_dir: where to look first for prepared TFDS sets.

    Raises RequestError for a wrong run.
    """
    from lanes.engine.options import Options
    from lanes.engine.requests import make_plan

    return make_plan([run], Options(data_dir=data_dir)).planned[0].run_id
