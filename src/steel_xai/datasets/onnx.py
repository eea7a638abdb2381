"""Exported models as .onnx files."""

import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import Version

from steel_xai.errors import InputError

from .files import replacing

logger = logging.getLogger(__name__)

_OWN_OPERATORS = ("", "ai.onnx")
"""Domains of ONNX' own operators; others would need libraries that a stranger could name."""


class OnnxDataset(AbstractVersionedDataset[bytes, bytes]):
    """The content of an ONNX file, as ``onnxruntime.InferenceSession`` takes it."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        """Args: filepath of the .onnx file; version and metadata as Kedro passes them."""
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> bytes:
        """Return the content, after ONNX' own checker has found it sound.

        Nothing of it is executed, and a file that refers to other files or to operators of others is refused.

        Raises:
            DatasetError: The file is damaged or foreign; it is named.
            InputError: The extra ``onnx`` is not installed.
        """
        path = Path(self._get_load_path())
        content = path.read_bytes()
        problem = _problem(content)
        if problem:
            raise DatasetError(
                f"{path} is no sound ONNX model ({problem}); export it anew with `kedro run --pipeline=export` or "
                "load another version"
            )
        return content

    def save(self, data: bytes) -> None:
        """Write the content, and log where; the file appears whole or not at all."""
        # Kedro refuses to name the place of a version that is there already.
        path = Path(self._get_save_path())
        with replacing(path) as partial:
            partial.write_bytes(data)
        logger.info("Exported model written to %s", path)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}


def _problem(content: bytes) -> str | None:
    """Say what is wrong with an ONNX file, in a line; None if nothing is."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError(
            "Loading an exported model needs onnx: `make setup` in the project's folder installs it, and so does "
            "`pip install '.[onnx]'` there"
        ) from error

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        return "it cannot be decoded"
    parts = list(_within(model))
    # Before the checker, which would look for the files.
    if any(isinstance(part, onnx.TensorProto) and part.data_location == part.EXTERNAL for part in parts):
        return "its weights are in other files"
    domains = {part.domain for part in parts if isinstance(part, onnx.NodeProto)} - set(_OWN_OPERATORS)
    if domains or model.functions:
        return "it has operators that are not ONNX' own"
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return str(error).strip().splitlines()[0]
    return None


def _within(message: Any) -> Iterator[Any]:
    """Yield a message and all within it: branches, constants and functions hold tensors and operators as well."""
    from google.protobuf.message import Message

    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from _within(part)
