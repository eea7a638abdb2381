"""Checkpoints of a training run: one safetensors file whose header holds the rest as JSON. Nothing can be executed."""

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.optim import Optimizer

from steel_xai.fingerprint import fingerprint
from steel_xai.one_step import replacing
from steel_xai.plain_file import one_line, plain_file_size

logger = logging.getLogger(__name__)


def save_checkpoint(path: Path, key: str, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> None:
    """Write tensors and a JSON-able record under a key, replacing the file in one step.

    Raises:
        DiskError: It cannot be written; or safetensors' own error says so.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(record)
    header = {"key": key, "content": _content(contiguous, text), "record": text}
    with replacing(path) as part:
        save_file(contiguous, part, metadata=header)


def load_checkpoint(path: Path, key: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read the tensors and the record that were saved under this key.

    Returns:
        None if there is no file, if it belongs to another key (one log line), or if it is damaged (one warning).
    """
    if not path.exists():
        return None
    try:
        plain_file_size(path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            if not header or not {"key", "content", "record"} <= header.keys():
                raise ValueError("it has no record")
            if header["key"] != key:
                logger.info("The checkpoint %s belongs to other data or parameters: training starts anew.", path)
                return None
            # A generator would read only the first tensor before the file closes.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header["content"] != _content(tensors, header["record"]):
            raise ValueError("its content does not match its hash")
        record = json.loads(header["record"])
    except Exception as error:  # a damaged header makes the library raise many types
        logger.warning("The checkpoint %s is damaged (%s): training starts anew.", path, one_line(error))
        return None
    return tensors, record


def optimizer_tensors(optimizer: Optimizer) -> dict[str, torch.Tensor]:
    """Name every tensor of the optimizer's state ``<number of the parameter>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value
        for number, values in state.items()
        for name, value in values.items()
        if torch.is_tensor(value)
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put tensors from ``optimizer_tensors`` back, in the memory layout of the parameters they belong to."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for full_name, value in tensors.items():
        number, name = full_name.split(".", 1)
        parameter = parameters[int(number)]
        # Sums over another layout could differ in the last bit from those of an uninterrupted run.
        same_layout = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.clone()
        state.setdefault(int(number), {})[name] = same_layout.detach()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _content(tensors: dict[str, torch.Tensor], record: str) -> str:
    return fingerprint(record, *(part for name in sorted(tensors) for part in (name, tensors[name].numpy())))
