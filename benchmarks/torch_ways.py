"""The same work in PyTorch, written as its users would, with its faster variants: fused Adam, hand-batched ensembles.

Every function takes a worker's request and arrays and returns seconds per run, from making the net to the end of the last step.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from benchmarks.torch_nets import NETS, batch_loss, evaluation

Request = dict[str, Any]
Arrays = dict[str, np.ndarray]


def prepared(request: Request, data: Arrays) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Tensors on the device, and orders [models, all steps, B] of examples; sets the number of threads."""
    torch.set_num_threads(request.get("threads", 1))
    device = request.get("device", "cpu")
    tensors = {name: torch.from_numpy(value).to(device) for name, value in data.items()}
    layout = torch.channels_last if request.get("channels_last") else torch.contiguous_format
    for name in ("x", "valid_x"):
        if tensors[name].ndim == 4:  # images, as [N, C, H, W]
            tensors[name] = tensors[name].movedim(-1, 1).contiguous(memory_format=layout)
    torch.manual_seed(0)
    if device != "cpu":
        torch.set_float32_matmul_precision("high")  # TF32, as JAX has it by default
    steps, size, models = request["steps"], request["batch"], request.get("models", 1)
    drawn = [torch.rand(models, len(data["x"]), device=device).argsort(1) for _ in range(request["epochs"])]
    orders = torch.stack([epoch[:, : steps * size] for epoch in drawn], 1)
    return tensors, orders.reshape(models, request["epochs"] * steps, size)


def settle(device: str) -> None:
    """Wait until a GPU has finished."""
    if device != "cpu":
        torch.cuda.synchronize()


def eager(request: Request, data: Arrays, compiled: bool = False) -> float:
    """Seconds per net of `runs` nets trained one by one; evaluated after each epoch if the request has `evaluate`."""
    tensors, orders = prepared(request, data)
    device, runs = request.get("device", "cpu"), request.get("runs", 1)
    order = orders[0]
    layout = torch.channels_last if request.get("channels_last") else torch.preserve_format
    if compiled:  # compilation is not timed, as for lanes
        _train(torch.compile(NETS[request["work"]]().to(device)), request, tensors, order[: request["steps"]])
    began = time.perf_counter()
    for _ in range(runs):
        net = NETS[request["work"]]().to(device, memory_format=layout)
        _train(torch.compile(net) if compiled else net, request, tensors, order)
    settle(device)
    return (time.perf_counter() - began) / runs


def _train(net: nn.Module, request: Request, tensors: dict[str, torch.Tensor], order: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    x, y = tensors["x"], tensors["y"]
    for at, batch in enumerate(order):
        optimizer.zero_grad(set_to_none=True)
        batch_loss(net, x[batch], y[batch]).backward()
        optimizer.step()
        if request.get("evaluate") and (at + 1) % request["steps"] == 0:
            evaluation(net, tensors["valid_x"], tensors["valid_y"])


def compiled(request: Request, data: Arrays) -> float:
    """`eager` with `torch.compile`; compilation is not timed."""
    return eager(request, data, compiled=True)


def graphed(request: Request, data: Arrays) -> float:
    """`eager` with the step as a CUDA graph, captured once and replayed for every step. Only on a GPU."""
    tensors, orders = prepared(request, data)
    order, runs = orders[0], request.get("runs", 1)
    net = NETS[request["work"]]().to("cuda")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True, capturable=True)
    batch = order[0].clone()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        batch_loss(net, tensors["x"][batch], tensors["y"][batch]).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # allocations and autotuning must be over before the capture
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    settle("cuda")
    began = time.perf_counter()
    for _ in range(runs):
        for indices in order:
            batch.copy_(indices)
            graph.replay()
    settle("cuda")
    return (time.perf_counter() - began) / runs


class Adam:
    """Adam over tensors [models, …] with a rate per model, in fused foreach operations."""

    def __init__(self, params: list[torch.Tensor], rates: torch.Tensor):
        self.params, self.count = params, 0
        self.first, self.second = ([torch.zeros_like(p) for p in params] for _ in range(2))
        self.rates = [rates.reshape(-1, *(1,) * (p.ndim - 1)) for p in params]

    def step(self, grads: list[torch.Tensor]) -> None:
        """One update."""
        self.count += 1
        torch._foreach_lerp_(self.first, grads, 0.1)
        torch._foreach_mul_(self.second, 0.999)
        torch._foreach_addcmul_(self.second, grads, grads, 0.001)
        roots = torch._foreach_sqrt(self.second)
        torch._foreach_div_(roots, (1 - 0.999**self.count) ** 0.5)
        torch._foreach_add_(roots, 1e-8)
        updates = torch._foreach_div(self.first, roots)
        torch._foreach_mul_(updates, self.rates)
        torch._foreach_sub_(self.params, updates, alpha=1 / (1 - 0.9**self.count))


def ensemble(request: Request, data: Arrays) -> float:
    """Seconds per model of `trained_ensemble`."""
    began = time.perf_counter()
    trained_ensemble(request, data)
    return (time.perf_counter() - began) / request["models"]


def trained_ensemble(request: Request, data: Arrays) -> tuple[list[float], list[float]]:
    """The last validation losses and accuracies of `models` digits MLPs, batched by hand with `baddbmm`.

    Each has its own rate and order; all have the request's activation, ReLU by default.
    """
    tensors, orders = prepared(request, data)
    models, device = orders.shape[0], request.get("device", "cpu")
    activation = getattr(F, request.get("activation", "relu"))
    x, y, valid_x, valid_y = (tensors[name] for name in ("x", "y", "valid_x", "valid_y"))
    sizes = ((64, 64), (64, 64), (64, 10))
    kernels = [torch.randn(models, m, n, device=device) * (2 / m) ** 0.5 for m, n in sizes]
    biases = [torch.zeros(models, 1, n, device=device) for _, n in sizes]
    params = [p.requires_grad_() for p in (*kernels, *biases)]
    optimizer = Adam(params, torch.linspace(1e-3, 2e-3, models, device=device))

    def forward(h: torch.Tensor) -> torch.Tensor:
        for at, (kernel, bias) in enumerate(zip(kernels, biases)):
            h = torch.baddbmm(bias, h, kernel)
            h = activation(h) if at < 2 else h
        return h

    metrics: tuple[list[float], list[float]] = [], []
    with torch.no_grad():
        valid_x_of_all = valid_x.expand(models, *valid_x.shape)
    for at in range(orders.shape[1]):
        batch = orders[:, at]  # [models, B]
        loss = F.cross_entropy(forward(x[batch]).flatten(0, 1), y[batch].flatten(), reduction="sum") / batch.shape[1]
        grads = list(torch.autograd.grad(loss, params))
        with torch.no_grad():
            optimizer.step(grads)
            if (at + 1) % request["steps"] == 0:
                metrics = _evaluate(forward(valid_x_of_all), valid_y)
    settle(device)
    return metrics


def _evaluate(logits: torch.Tensor, y: torch.Tensor) -> tuple[list[float], list[float]]:
    """Loss and accuracy of every model, fetched to the host."""
    targets = y.expand(len(logits), -1)
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").reshape(targets.shape).mean(1)
    return losses.tolist(), (logits.argmax(-1) == targets).float().mean(1).tolist()


def functional(request: Request, data: Arrays) -> float:
    """Seconds per model of `models` digits MLPs by `torch.func`: `vmap` over `grad` of a functional call."""
    tensors, orders = prepared(request, data)
    models, device = orders.shape[0], request.get("device", "cpu")
    x, y, valid_x, valid_y = (tensors[name] for name in ("x", "y", "valid_x", "valid_y"))
    began = time.perf_counter()
    nets = [NETS["sweep"]().to(device) for _ in range(models)]
    params = {name: value.detach() for name, value in stack_module_state(nets)[0].items()}
    base = copy.deepcopy(nets[0]).to("meta")
    optimizer = Adam(list(params.values()), torch.linspace(1e-3, 2e-3, models, device=device))

    def loss(params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(base, params, (x,)), y)

    gradients = vmap(grad(loss))
    predict = vmap(lambda params, x: functional_call(base, params, (x,)), in_dims=(0, None))
    for at in range(orders.shape[1]):
        batch = orders[:, at]
        grads = gradients(params, x[batch], y[batch])
        optimizer.step([grads[name] for name in params])
        if (at + 1) % request["steps"] == 0:
            _evaluate(predict(params, valid_x), valid_y)
    settle(device)
    return (time.perf_counter() - began) / models


WAYS: dict[str, Callable[[Request, Arrays], float]] = {
    "eager": eager,
    "compile": compiled,
    "cuda_graph": graphed,
    "ensemble": ensemble,
    "func": functional,
}
