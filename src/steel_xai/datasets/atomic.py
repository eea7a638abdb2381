"""Saving through a temporary name, for datasets of kedro-datasets that write straight to their target."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from .files import replacing


class AtomicSave:
    """Mixin for a file dataset of kedro-datasets: half a file never stands under the real name.

    A subclass lists it first and defines ``save`` as ``self.save_atomically(<parent>.save, data)``.
    """

    _partial: PurePosixPath | None = None

    def save_atomically(self, save: Callable[..., None], data: Any) -> None:
        """Run the parent's ``save`` on a path beside the target, then rename; a full disk raises InputError."""
        # Kedro's wrapper around the parent's method would look for the new version before it has its name
        write = getattr(save, "__wrapped__")  # noqa: B009
        with replacing(Path(self._get_save_path())) as partial:
            self._partial = PurePosixPath(partial)
            try:
                write(self, data)
            finally:
                self._partial = None

    def _get_save_path(self) -> PurePosixPath:
        parent: Any = super()
        return self._partial or parent._get_save_path()
