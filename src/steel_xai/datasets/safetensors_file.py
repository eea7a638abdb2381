"""Weights and descriptions of models from strangers: compared with each other before they may take any memory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel

from steel_xai.errors import InputError
from steel_xai.plain_file import one_line, plain_file_size

if TYPE_CHECKING:
    import torch
    from torch import nn

# Room for names and shapes; the format itself allows for 100 MB.
_MAX_HEADER_BYTES = 4 * 2**20
_MAX_DESCRIPTION_BYTES = 2**20


class _Model(Protocol):
    @property
    def network(self) -> "nn.Module": ...


Description = TypeVar("Description", bound=BaseModel)
Model = TypeVar("Model", bound=_Model)


def read_description(path: Path, kind: type[Description]) -> Description:
    """Read a model's description from JSON.

    Raises:
        InputError: The file is no such description; it names the file and the keys that are wrong.
    """
    if plain_file_size(path) > _MAX_DESCRIPTION_BYTES:
        raise _unreadable(path, f"larger than {_MAX_DESCRIPTION_BYTES // 2**20} MiB")
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # pydantic's ValidationError and UnicodeDecodeError are ValueErrors
        raise _unreadable(path, error) from error


def load_model(path: Path, restore: "Callable[[dict[str, torch.Tensor]], Model]") -> Model:
    """Restore a model from a safetensors file of its network's state.

    Args:
        path: The file.
        restore: Builds the model and loads the state that it is given. Called twice: first on the meta device, with
            the names and shapes of the file alone, where a description that asks for terabytes does no harm.

    Raises:
        InputError: The model cannot be built, or the file does not hold exactly its weights, all of them finite.
    """
    import torch

    shapes = _read_shapes(path)
    try:
        with torch.device("meta"):
            state = {name: torch.empty(shape) for name, shape in shapes.items()}
            expected = restore(state).network.state_dict()
    except Exception as error:  # what a hostile description makes PyTorch raise has many types
        raise _unreadable(path, f"no network with these weights can be built: {error}") from error
    return restore(load_tensors(path, expected))


def load_tensors(path: Path, expected: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Load a safetensors file that holds tensors of the expected names, shapes and types, and nothing else.

    Raises:
        InputError: It does not, or has weights that are not finite numbers.
    """
    import torch

    size, needed = plain_file_size(path), sum(tensor.nbytes for tensor in expected.values())
    if not needed <= size <= needed + _MAX_HEADER_BYTES:
        raise _unreadable(path, f"it has {size} bytes where its network needs {needed}")
    tensors: dict[str, torch.Tensor] = _read_all(path, lambda file, name: file.get_tensor(name))
    if other := sorted(expected.keys() ^ tensors.keys()):
        raise _unreadable(path, f"it lacks or adds {len(other)} tensors: {', '.join(other[:3])}")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            raise _unreadable(path, f"{name} is {_kind(tensor)} where its network has {_kind(expected[name])}")
        if not torch.isfinite(tensor).all():
            raise _unreadable(path, f"{name} has values that are not finite numbers")
    return tensors


def _read_shapes(path: Path) -> dict[str, list[int]]:
    plain_file_size(path)
    with path.open("rb") as file:
        if int.from_bytes(file.read(8), "little") > _MAX_HEADER_BYTES:
            raise _unreadable(path, f"its header says that it is larger than {_MAX_HEADER_BYTES // 2**20} MiB")
    shapes: dict[str, list[int]] = _read_all(path, lambda file, name: file.get_slice(name).get_shape())
    return shapes


def _read_all(path: Path, read: Callable[[Any, str], Any]) -> dict[str, Any]:
    """Read something of every tensor of a file; nothing is there that could be executed."""
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: read(file, name) for name in file.keys()}  # noqa: SIM118, not a dict
    except Exception as error:  # a hostile header makes the library raise many types
        raise _unreadable(path, error) from error


def _kind(tensor: "torch.Tensor") -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _unreadable(path: Path, reason: object) -> InputError:
    return InputError(
        f"{path} is no part of a readable model: {one_line(reason)}; train it anew or load another version."
    )
