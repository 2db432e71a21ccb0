"""A peer's process: trains as each line of input requests, and replies how long it took. Does not import JAX.

A request is JSON: {"way": …, "data": FILE.npz, "batch": B, "epochs": E, "steps": S, …}; the reply is {"seconds": …} or
{"error": …}. {"way": "versions"} requests the versions of the peers.
"""

import json
import sys
import time
from importlib import metadata, util
from typing import Any

import numpy as np


def versions() -> dict[str, str]:
    """Versions of the peers installed in this interpreter."""
    names = {"torch": "torch", "sklearn": "scikit-learn"}
    return {package: metadata.version(package) for module, package in names.items() if util.find_spec(module)}


def scikit_learn(request: dict[str, Any], data: dict[str, np.ndarray]) -> float:
    """Seconds for one MLPClassifier, with the same number of steps and examples, without evaluation."""
    import warnings

    from sklearn.neural_network import MLPClassifier

    used = request["steps"] * request["batch"]
    x, y = data["x"][:used], data["y"][:used]
    net = MLPClassifier((64, 64), batch_size=request["batch"], max_iter=request["epochs"], n_iter_no_change=10**6)
    warnings.simplefilter("ignore")  # ConvergenceWarning
    began = time.perf_counter()
    net.fit(x, y)
    return time.perf_counter() - began


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request."""
    if request["way"] == "versions":
        return {"versions": versions()}
    with np.load(request["data"]) as file:
        data = {name: file[name] for name in file.files}
    if request["way"] == "sklearn":
        return {"seconds": scikit_learn(request, data)}
    from benchmarks import torch_ways

    return {"seconds": torch_ways.WAYS[request["way"]](request, data)}


def main() -> None:
    """Answer requests until the input ends."""
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
