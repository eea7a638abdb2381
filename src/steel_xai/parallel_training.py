"""Training on several devices at once: each batch is shared out, and the gradients are averaged.

Processes are started and watched by torch's own launcher, the one behind ``torchrun``, from inside the training node.
Every process draws the same batches, noise and flips as one process alone would and works on its share of them, so that
the number of devices changes a result by rounding only (and by dropout, which each process draws for itself).
"""

import logging
import mmap
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce

from steel_xai.errors import InputError
from steel_xai.one_step import replacing
from steel_xai.plain_file import one_line

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_TIMEOUT = timedelta(minutes=30)
"""After which a process stops waiting for another one."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What the launcher handles; it tells the processes to end."""

_SECONDS_TO_BE_NOTICED = 1.0
"""In which the launcher, who looks five times a second, has seen the death of a process."""


@dataclass(frozen=True)
class Group:
    """The processes that train one network: this one's number, and how many they are."""

    rank: int = 0
    size: int = 1

    def share(self, batch: torch.Tensor) -> torch.Tensor:
        """Take this process's part of a batch [B, ...]; all work on the whole of one that is too small to share."""
        return batch if self.parts(len(batch)) == 1 else batch[self.rank :: self.size]

    def parts(self, n_examples: int) -> int:
        """Count the parts of a batch: one for each process, or one alone, which all work on."""
        return 1 if n_examples < self.size else self.size

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Add up values over all processes."""
        if self.size > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()

    def parallel(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that its gradients are the mean of all processes'."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)


ALONE = Group()


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Add up values over the processes that train together, with gradients; those of a process alone are the sum."""
    if not distributed.is_initialized():
        return values
    total: torch.Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the shares of all processes; torch's SyncBatchNorm does this on GPUs only."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise [B, C, h, w]; in evaluation mode as `torch.nn.BatchNorm2d` does."""
        if not self.training:
            return super().forward(images)
        n_values = images.new_tensor([images.numel() // images.shape[1]])
        sums = sum_over_processes(torch.cat([images.sum(dim=(0, 2, 3)), n_values]))
        count = sums[-1].detach()
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {images.shape}")
        mean = sums[:-1] / count
        # Mean square less squared mean would cancel, even to less than 0, where the mean is large beside the deviation.
        centred = images - mean[:, None, None]
        variance = sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / count
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean.detach(), momentum)
            self.running_var.lerp_(variance.detach() * count / (count - 1), momentum)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        normalised: torch.Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised


def with_global_norms(network: nn.Module) -> nn.Module:
    """Let batch normalisations see the whole batch, whatever process its parts are in; names of weights stay."""
    if any(weight.is_cuda for weight in network.parameters()):
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return converted
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            # The class alone differs, so that weights, buffers and settings stay what they are.
            module.__class__ = GlobalBatchNorm2d
    return network


def check_devices(n_devices: int, device: torch.device) -> None:
    """Raise InputError if there are fewer devices than processes are to use; several may share a CPU's cores."""
    present = torch.cuda.device_count() if device.type == "cuda" else os.cpu_count() or 1
    if n_devices > present:
        raise InputError(
            f"compute.devices: {n_devices} were asked for, but this machine has {present} "
            f"{'CUDA devices' if device.type == 'cuda' else 'CPU cores'}; lower compute.devices"
        )


def launch(
    function: Callable[[Group, torch.device, Any], Result], argument: Any, n_devices: int, device: str
) -> Result:
    """Run a function in ``n_devices`` processes that can talk to each other, one a device.

    Args:
        function: Gets its process's group and device, and the argument; importable by name.
        argument: A copy goes to every process; memory-mapped arrays are opened there again instead.
        n_devices: Number of processes.
        device: ``cuda`` or ``cpu``.

    Returns:
        What the function returns in the first process.

    Raises:
        InputError: As the function does, in whatever process; or a process dies.
    """
    import cloudpickle
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory() as folder:
        # Sent as a file: pickles of lambdas need cloudpickle, which the launcher does not use.
        package = Path(folder, "argument")
        package.write_bytes(cloudpickle.dumps((function, _to_send(argument))))
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=n_devices,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.2,
        )
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        # It tells of each end at length, with its own traceback; what befell a process is told below.
        launcher_log = logging.getLogger("torch.distributed.elastic")
        launcher_log.addHandler(nowhere := logging.NullHandler())
        launcher_log.propagate = False
        try:
            results = elastic_launch(config, _work)(package, device)
        except SignalException as error:
            # Without the checkpoint, which the same run goes on from, it would be a failure.
            raise KeyboardInterrupt from error
        except ChildFailedError as error:
            raise _cause(error, Path(folder), n_devices) from error
        finally:
            launcher_log.propagate = True
            launcher_log.removeHandler(nowhere)
            # The launcher leaves its own in place.
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():
                    signal.signal(number, handler)
    return results[0]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Failure:
    """What a process tells of its end: when it was, why, and the error itself if it is one that users can mend."""

    seconds: float
    rank: int
    reason: str
    traceback: str
    refusal: InputError | None


def _cause(error: "ChildFailedError", folder: Path, n_devices: int) -> InputError:
    """Find out why the processes ended: what one of them refused, or the first failure, which others follow."""
    told: list[_Failure] = [pickle.loads(file.read_bytes()) for file in folder.glob("failure-*.pickle")]
    told.sort(key=lambda failure: (failure.refusal is None, failure.seconds))
    rank, noticed = error.get_first_failure()
    if told and told[0].refusal is not None:
        return told[0].refusal
    if rank in [failure.rank for failure in told]:
        rank = told[0].rank
        reason = told[0].reason
        logger.error("Process %d of %d:\n%s", rank, n_devices, told[0].traceback)
    else:
        # Killed: what others tell is only that they miss it.
        reason = f"exit code {noticed.exitcode} ({one_line(noticed.message)})"
    return InputError(
        f"Training on {n_devices} devices: process {rank} ended with {reason}; "
        "a checkpoint of the last epoch is kept, and the same run goes on from there"
    )


def _work(package: Path, device_type: str) -> Any:
    """Be one of the processes: join the others, and call the function."""
    import cloudpickle

    # Ctrl-C reaches all processes of a terminal; the launcher decides for all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    try:
        if device_type == "cuda":
            device = torch.device("cuda", rank)
            torch.cuda.set_device(device)
        else:
            device = torch.device("cpu")
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
        distributed.init_process_group("nccl" if device_type == "cuda" else "gloo", timeout=_TIMEOUT)
        function, argument = cloudpickle.loads(package.read_bytes())
        result = function(Group(rank, size), device, _received(argument))
    except Exception as error:
        refusal = error if isinstance(error, InputError) else None
        reason = f"{type(error).__name__}: {one_line(error)}"
        failure = _Failure(time.monotonic(), rank, reason, traceback.format_exc(), refusal)
        # Told before the others miss this process and fail in their turn.
        with replacing(package.with_name(f"failure-{rank}.pickle")) as part:
            part.write_bytes(pickle.dumps(failure))
        if refusal is None:
            # It may have failed for one that died without a word, which is to be noticed first.
            time.sleep(_SECONDS_TO_BE_NOTICED)
        # At once: to take leave of the others could mean to wait for them, and the launcher ends them.
        os._exit(1)
    distributed.destroy_process_group()
    return result


def _end_with_parent() -> None:
    """End this process when the one that launched it has ended, be it by ``kill -9``: nobody else would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class _Mapped:
    """A memory-mapped array by its place on disk."""

    path: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int


def _to_send(argument: Any) -> Any:
    """Replace whole memory-mapped arrays in a dict by their place on disk."""
    return {name: _place_of(value) for name, value in argument.items()}


def _place_of(value: Any) -> Any:
    if isinstance(value, np.memmap) and isinstance(value.base, mmap.mmap) and value.flags.c_contiguous:
        return _Mapped(str(value.filename), value.dtype, value.shape, value.offset)
    return value


def _received(argument: Any) -> Any:
    return {name: _opened(value) for name, value in argument.items()}


def _opened(value: Any) -> Any:
    if isinstance(value, _Mapped):
        return np.memmap(value.path, value.dtype, mode="r", offset=value.offset, shape=value.shape)
    return value
