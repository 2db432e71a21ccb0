"""What a run needs to train on series of unequal length."""

from lanes.data.loading import Dataset
from lanes.describe.runs import Run
from lanes.errors import RequestError
from nets.abilities import ReadsPadding


def check_padded(run: Run, data: Dataset) -> None:
    """Raise RequestError for what cannot deal with series of unequal length."""
    if not data.padded:
        return
    what = f"{data.name} has series of unequal length"
    if not isinstance(run.net, ReadsPadding):
        raise RequestError(
            f"{what}, and net {type(run.net).__name__} would take their padding for numbers: use Recurrent, or a net with a "
            "field reads_padding that takes its inputs through nets.without_padding"
        )
    if getattr(run.net, "head", None) == "each":
        raise RequestError(f"{what}, and head='each' predicts at each step, padding included: choose last, mean or all")
    changed = "augment" if run.augment else "task.corruption" if getattr(run.task, "corruption", None) else ""
    if changed:
        raise RequestError(f"{what}, and {changed} would change their padding: leave it out, or use input_noise")
