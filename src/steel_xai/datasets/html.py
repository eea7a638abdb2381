"""HTML pages."""

import logging

from kedro_datasets import text

from .atomic import AtomicSave

logger = logging.getLogger(__name__)


class HTMLDataset(AtomicSave, text.TextDataset):
    """kedro-datasets' TextDataset in UTF-8, written atomically; it logs where the page lies, for a reader to open."""

    DEFAULT_FS_ARGS = {  # noqa: RUF012, the parent's own way
        "open_args_save": {"mode": "w", "encoding": "utf-8", "newline": "\n"},
        "open_args_load": {"mode": "r", "encoding": "utf-8", "newline": ""},
    }

    def save(self, data: str) -> None:
        """Write the page."""
        # Kedro refuses to name the place of a version that is there already.
        path = self._get_save_path()
        self.save_atomically(text.TextDataset.save, data)
        logger.info("%s written to %s", self._filepath.stem.replace("_", " ").capitalize(), path)
