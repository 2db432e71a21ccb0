"""Checks of settings of a run that do not go with its net or its data."""

from lanes.data.loading import Dataset, HasSplitSeed
from lanes.describe import runs
from lanes.describe.columns import display_name
from lanes.describe.runs import FIELDS, Run, is_off
from lanes.errors import RequestError
from lanes.recipe.schedules_own import schedule_of
from nets import biases


def check_biases(run: Run) -> None:
    """Raise RequestError for an initializer that cannot draw biases, or a net that sets its own."""
    if run.bias_initializer is None:
        return
    name = display_name(run.bias_initializer, runs.TABLES["bias_initializer"])
    try:
        biases.check_initializer(run.bias_initializer, name)
    except ValueError as error:
        raise RequestError(str(error)) from None
    if getattr(run.net, "bias", 0) != 0:
        raise RequestError(f"bias_initializer is {name} and the net's own bias is {run.net.bias}: set one of them")


def check_data_settings(run: Run, data: Dataset) -> None:
    """Raise RequestError for settings that change nothing with this data set."""
    if isinstance(run.data, HasSplitSeed) and run.train_examples is None and not data.seeded:
        default = getattr(type(run.data), "split_seed", None)
        if run.data.split_seed != default:
            raise RequestError(
                f"data.split_seed is {run.data.split_seed}, and no split of {data.name} is drawn at random here: leave it "
                "out, or set valid_fraction"
            )
    observed = data.valid is not None or not is_off(run, "patience") or schedule_of(run.schedule).adapts
    if run.eval_every != FIELDS["eval_every"].default and not observed:
        raise RequestError(
            f"eval_every is {run.eval_every}, and {data.name} has no validation split here to evaluate on: leave it out, or "
            "set valid_fraction"
        )
