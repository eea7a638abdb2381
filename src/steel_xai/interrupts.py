"""Ctrl-C that is always heard."""

import _thread
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS_BETWEEN = 0.1


@contextmanager
def heard_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt again that Python has dropped, for the length of a block.

    Python only reports what is raised in a callback of a weak reference or of the garbage collector. Where these are
    many, as when PyTorch's hooks are removed, Ctrl-C falls into one, and the run goes on as if nothing had happened.
    """
    report = sys.unraisablehook

    def press_again(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            report(dropped)
            return
        # At once it would be raised here, and dropped again.
        again = threading.Timer(_SECONDS_BETWEEN, _thread.interrupt_main)
        again.daemon = True
        again.start()

    sys.unraisablehook = press_again
    try:
        yield
    finally:
        sys.unraisablehook = report
