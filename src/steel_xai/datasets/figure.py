"""Figures as PNG files."""

from typing import TYPE_CHECKING, Any

from kedro_datasets import matplotlib

from .atomic import AtomicSave

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureDataset(AtomicSave, matplotlib.MatplotlibDataset):
    """kedro-datasets' MatplotlibDataset, written atomically, and loaded as a PIL image."""

    def save(self, data: "Figure") -> None:
        """Draw the figure into the file."""
        self.save_atomically(matplotlib.MatplotlibDataset.save, data)

    def load(self) -> Any:
        """Return the saved picture, for a look in a notebook."""
        from PIL import Image

        with Image.open(self._get_load_path()) as picture:
            return picture.convert("RGB")
