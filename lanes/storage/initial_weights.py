"""Starting from a trained run: `init_from="DIR:run_id"` or `"DIR:run_id:subtree"`.

The new net takes the parameters of that run's best epoch that match its own in path and shape; its other parameters are
drawn by the initializer. Paths are relative to the subtree (`"encoder"`, `"encoder.hidden_0"`), so an autoencoder's encoder
fits an MLP with the same hidden widths. Matching batch statistics are taken too. The other sweep is read and never changed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lanes.describe.identity import parsed
from lanes.errors import DamagedFileError, RequestError
from lanes.plan.datasets import DataRecord
from lanes.storage import data_records, trained
from lanes.storage.directory import existing
from lanes.storage.references import parse

Leaves = dict[tuple[str, ...], np.ndarray]


def described(text: str) -> Mapping[str, Any] | None:
    """The description of the run that `text` names; None if it cannot be found."""
    try:
        source = parse(text)
        (directory,) = existing([source.directory], changes=False)
        return parsed(trained.find_run(directory, source.run)["description"])
    except (RequestError, DamagedFileError):
        return None


def load(text: str) -> dict[str, Leaves]:
    """Leaves of `{"params", "rest"}` by path below the subtree.

    Raises RequestError if the directory, the run, its checkpoint or the subtree is missing.
    """
    source = parse(text)
    (directory,) = existing([source.directory], changes=False)
    row = trained.find_run(directory, source.run)
    variables = trained.variables_of(directory, row["pack"], [int(row["lane"])])
    own = trained.own_variables(row, {part: trained.lane_of(variables[part], 0) for part in ("params", "rest")})
    leaves = {part: flat(tree) for part, tree in own.items()}
    if not source.subtree:
        return leaves
    depth = len(source.subtree)
    # The paths of other variables begin with their collection ("batch_stats").
    inside = {
        "params": {path[depth:]: leaf for path, leaf in leaves["params"].items() if path[:depth] == source.subtree},
        "rest": {
            (path[0], *path[1 + depth :]): leaf
            for path, leaf in leaves["rest"].items()
            if path[1 : 1 + depth] == source.subtree
        },
    }
    if not inside["params"]:
        subtrees = ", ".join(sorted({path[0] for path in leaves["params"]}))
        raise RequestError(
            f"init_from is {text!r}: the run has no parameters below {'.'.join(source.subtree)}; it has {subtrees}"
        )
    return inside


def flat(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The leaves of nested dictionaries by path."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {key: leaf for name, inner in tree.items() for key, leaf in flat(inner, (*path, name)).items()}


def fitting(source: Leaves, shapes: dict[tuple[str, ...], tuple[int, ...]]) -> list[tuple[str, ...]]:
    """The paths that both have with the same shape."""
    return [path for path, leaf in source.items() if shapes.get(path) == leaf.shape]


def check(text: str, params: Any) -> str:
    """A line that names the parameters which the trained run has not, and which are drawn; empty if it has all.

    Raises RequestError if `init_from` cannot be loaded or none of its parameters fits `params`.
    """
    source, shapes = load(text)["params"], {path: leaf.shape for path, leaf in flat(params).items()}
    drawn = {path: shape for path, shape in shapes.items() if path not in fitting(source, shapes)}
    if len(drawn) == len(shapes):
        raise RequestError(
            f"init_from is {text!r}: none of its parameters ({_listed({p: v.shape for p, v in source.items()})}) has the "
            f"path and shape of one of the net's ({_listed(shapes)}); name a subtree, or give both nets the same widths"
        )
    if not drawn:
        return ""
    return f"of init_from only parameters of equal path and shape are taken; drawn by the initializer: {_listed(drawn)}"


def check_data(text: str, record: DataRecord) -> None:
    """Raise RequestError if the source's directory was trained on other arrays of the same description."""
    (directory,) = existing([parse(text).directory], changes=False)
    data_records.check(directory, [record])


def _listed(shapes: dict[tuple[str, ...], tuple[int, ...]]) -> str:
    first = [f"{'.'.join(path)} {list(shape)}" for path, shape in list(shapes.items())[:3]]
    return ", ".join(first) + (", …" if len(shapes) > 3 else "")


def replace(variables: Any, lanes: dict[int, str]) -> Any:
    """Host copies of `{"params", "rest"}` [P, …] with each lane's matching leaves replaced by those of its source.

    Args:
        variables: of a pack.
        lanes: `init_from` by lane.
    """
    sources = {text: load(text) for text in set(lanes.values())}
    out = {part: {path: np.array(leaf) for path, leaf in flat(tree).items()} for part, tree in variables.items()}
    for part, leaves in out.items():
        shapes = {path: leaf.shape[1:] for path, leaf in leaves.items()}
        for lane, text in lanes.items():
            for path in fitting(sources[text][part], shapes):
                leaves[path][lane] = sources[text][part][path]
    return {part: _nested(leaves, variables[part]) for part, leaves in out.items()}


def _nested(leaves: Leaves, like: Any, path: tuple[str, ...] = ()) -> Any:
    if not isinstance(like, dict):
        return leaves[path]
    return {name: _nested(leaves, inner, (*path, name)) for name, inner in like.items()}
