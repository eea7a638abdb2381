"""What can be followed of a training while it runs: a line of JSON an epoch, and the same numbers for TensorBoard."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from steel_xai.errors import InputError

PROGRESS = "progress.jsonl"
TENSORBOARD = "tensorboard"

Logger = Literal["none", "tensorboard"]
Record = dict[str, float]

_EVENTS = "events.out.tfevents.*"


def check_logger(logger: Logger) -> None:
    """Raise InputError if TensorBoard is asked for and not installed."""
    if logger == "tensorboard" and find_spec("tensorboard") is None:
        raise InputError(
            "training.logger: tensorboard is not installed; `make setup` in the project's folder installs it, and so "
            "does `pip install '.[tensorboard]'` there; or set training.logger: none"
        )


@contextmanager
def open_log(folder: Path, history: Sequence[Record], logger: Logger) -> Iterator[Callable[[Record], None]]:
    """Write the epochs of a training where they can be followed: ``folder/progress.jsonl``, and TensorBoard's events.

    Both are written anew from the history, so that a resumed run, whatever its last one left there, has each epoch
    once. TensorBoard's one file lies in ``folder/tensorboard`` and has a scalar for each number of a record, by its
    name, at the step ``epoch``.

    Args:
        folder: Exists; nothing else writes a training's log there.
        history: One record an epoch that is finished already, with the key ``epoch``.
        logger: What is written besides the lines of JSON.

    Yields:
        A function that writes the next epoch's record, to be read at once.

    Raises:
        InputError: TensorBoard is not installed.
    """
    check_logger(logger)
    with (folder / PROGRESS).open("w", encoding="utf-8") as lines, _open_events(folder, logger) as add_event:

        def add(record: Record) -> None:
            lines.write(json.dumps(record) + "\n")
            lines.flush()
            add_event(record)

        for record in history:
            add(record)
        yield add


@contextmanager
def _open_events(folder: Path, logger: Logger) -> Iterator[Callable[[Record], None]]:
    # Also without the logger: curves of an earlier training would be taken for this one's.
    for stale in (folder / TENSORBOARD).glob(_EVENTS):
        stale.unlink()
    if logger == "none":
        yield lambda record: None
        return

    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / TENSORBOARD)) as writer:

        def add(record: Record) -> None:
            for name, value in record.items():
                if name != "epoch":
                    writer.add_scalar(name, value, int(record["epoch"]))
            writer.flush()

        yield add
