"""A folder of raw sheets that a source may lack."""

from steel_xai.raw_files import RawFile

from .folder import SheetFolderDataset


class OptionalSheetFolderDataset(SheetFolderDataset):
    """The image files of a folder by name; none where there is no such folder."""

    def load(self) -> dict[str, RawFile]:
        """Return name -> path as `SheetFolderDataset` does, or an empty dict."""
        return super().load() if self._exists() else {}
