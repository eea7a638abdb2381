"""Tables as CSV files: results of the project, and tables that a user may or may not provide."""

from typing import Any

import pandas as pd
from kedro_datasets import pandas

from .atomic import AtomicSave


class CSVDataset(AtomicSave, pandas.CSVDataset):
    """kedro-datasets' CSVDataset, written atomically."""

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        self.save_atomically(pandas.CSVDataset.save, data)


class OptionalCSVDataset(pandas.CSVDataset):
    """A table of the user's own: None where there is no such file."""

    def load(self) -> Any:
        """Return the table, or None."""
        return super().load() if self.exists() else None
