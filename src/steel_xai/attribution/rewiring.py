"""A private copy of a network, and that copy with other modules in place of its ReLUs and max poolings.

DeepLift changes how gradients pass activations, and has to know each one's values for a baseline. Hooks on modules,
captum's way, fail where a network uses one ReLU module several times, and are silently wrong where it uses ReLU as a
function. torch.fx shows each use of either, and gives it a module of its own.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from steel_xai.device import MEMORY_FORMAT
from steel_xai.errors import InputError

_LINEAR_MODULES = (
    *(nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten),
    *(nn.AvgPool2d, nn.AdaptiveAvgPool2d),
)
_LINEAR_CALLS = {
    *("adaptive_avg_pool2d", "avg_pool2d", "dropout", "stochastic_depth", "mean", "cat", "flatten", "add", "iadd"),
    *("sub", "unsqueeze", "view", "reshape", "permute", "contiguous", "size", "getitem", "getattr"),
}
"""Affine in evaluation mode, so that a gradient passes them unchanged."""

_PRODUCTS, _QUOTIENTS = {"mul", "imul"}, {"truediv"}
"""Affine if all but one factor are numbers, or the divisor is."""

_RELU_CALLS = {"relu", "relu_"}


def private_copy(network: nn.Module) -> nn.Module:
    """Copy a network for attribution: evaluation mode, no gradients of parameters, nothing in place, channels last.

    All methods work on such a copy, so that the caller's network keeps its mode, hooks and gradients whatever happens.
    """
    own = copy.deepcopy(network).eval().requires_grad_(False)
    for module in own.modules():
        if hasattr(module, "inplace"):
            # PyTorch's stubs take every attribute of a module for a tensor.
            module.inplace = False  # type: ignore[assignment]
    return own.to(memory_format=MEMORY_FORMAT)


def rewire(
    network: nn.Module,
    *,
    relu: Callable[[], nn.Module],
    max_pool: Callable[[nn.MaxPool2d], nn.Module],
    method: str,
) -> nn.Module:
    """Build a network with the same weights and outputs, but a new module for each use of a ReLU or max pooling.

    Args:
        network: A private copy.
        relu: Makes the module that takes the place of a ReLU.
        max_pool: Makes the one that takes the place of a max pooling with the given settings.
        method: The method's name, for error messages.

    Raises:
        InputError: torch.fx cannot follow the network, or it has operations other than ReLUs, max poolings and affine
            ones, for which DeepLift has no rule. The message names them.
    """
    name = type(network).__name__
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # tracing runs the network's own code, which may raise anything
        raise InputError(
            f"{method}: torch.fx cannot follow the forward pass of {name} ({error}); leave this method out of the "
            "methods, or train one of the project's own architectures"
        ) from error
    modules = dict(network.named_modules())
    replacements: dict[str, nn.Module] = {}
    refused: set[str] = set()
    for node in [node for node in graph.nodes if node.op.startswith("call_")]:
        module = _activation(node, modules)
        if module is not None:
            replacements[f"activation_{len(replacements)}"] = relu() if type(module) is nn.ReLU else max_pool(module)
            _replace(graph, node, list(replacements)[-1])
        elif not _is_affine(node, modules):
            refused.add(_operation(node, modules))
    if refused:
        raise InputError(
            f"{method}: no rule for {', '.join(sorted(refused))}, which {name} has; leave this method out of the "
            "methods, or train an architecture of convolutions, batch normalisations, ReLUs and poolings"
        )
    tensors = dict([*network.named_parameters(), *network.named_buffers()])
    return fx.GraphModule({**modules, **tensors, **replacements}, graph).eval()


def _activation(node: fx.Node, modules: Mapping[str, nn.Module]) -> Any:
    """Describe the ReLU or max pooling that a node is, as a module of that type; None if it is neither."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        return module if type(module) in (nn.ReLU, nn.MaxPool2d) and not getattr(module, "return_indices", 0) else None
    if _call_name(node) in _RELU_CALLS:
        return nn.ReLU()
    if "max_pool2d" in _call_name(node) and not node.kwargs.get("return_indices"):
        settings: tuple[Any, ...] = node.args[1:]
        named: dict[str, Any] = {name: value for name, value in node.kwargs.items() if name != "input"}
        return nn.MaxPool2d(*settings, **named)
    return None


def _replace(graph: fx.Graph, node: fx.Node, name: str) -> None:
    with graph.inserting_before(node):
        replacement = graph.call_module(name, (node.args[0] if node.args else node.kwargs["input"],))
    node.replace_all_uses_with(replacement)
    graph.erase_node(node)


def _is_affine(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[str(node.target)]) in _LINEAR_MODULES
    name = _call_name(node)
    if name in _PRODUCTS:
        return sum(isinstance(argument, fx.Node) for argument in node.args) == 1
    if name in _QUOTIENTS:
        return not isinstance(node.args[1], fx.Node)
    return name in _LINEAR_CALLS


def _operation(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    return type(modules[str(node.target)]).__name__ if node.op == "call_module" else _call_name(node)


def _call_name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
