"""Array files from strangers: what the header says is compared with the file before anything is believed."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from tests.fuzz.hostile import HOW_MANY, REFUSED, named_outcome, spoilt, try_all, within

from steel_xai.array_file import map_array
from steel_xai.datasets.array import MemoryMappedArrayDataset


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def with_header(header: str, data: bytes = bytes(24), version: bytes = b"\x01\x00") -> bytes:
    size = len(header).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + header.encode("latin-1") + data


def header(descr: str = "'|u1'", order: str = "False", shape: str = "(2, 3, 4)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


class Code:
    def __reduce__(self):
        return (pytest.fail, ("executed",))


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", npy(np.zeros(3)))
    return file.getvalue()


SHEETS = npy(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
WHOLE = st.sampled_from([SHEETS, npy(np.arange(6.0).reshape(2, 3, order="F")), npy(np.zeros((0, 4), dtype=bool))])
REFUSED_FILES = {
    "empty": b"",
    "text": b"row,image_id\n",
    "no header": SHEETS[:6],
    "cut short": SHEETS[:-1],
    "longer than its header says": SHEETS + b"\0",
    "archive": zipped(),
    "pickle": pickle.dumps(Code()),
    "pickled objects": npy(np.array([Code()], dtype=object)),
    "objects as numbers": with_header(header("'|O'")),
    "records": npy(np.zeros(2, dtype=[("a", "u1")])),
    "text in an array": npy(np.array(["a", "b"])),
    "dates": npy(np.array(["2026-01-01"], dtype="datetime64[D]")),
    "complex numbers": npy(np.zeros(2, dtype=complex)),
    "a terabyte": with_header(header(shape="(1000000000000,)")),
    "more than any number": with_header(header(shape=f"({10**30},)")),
    "a product beyond 64 bits": with_header(header(shape=f"({2**32}, {2**32}, 24)")),
    "nothing times a huge number": with_header(header(shape=f"(0, {10**30})"), b""),
    "negative sides": with_header(header(shape="(-2, -12)")),
    "a side that is no number": with_header(header(shape="('2', 3, 4)")),
    "a fraction": with_header(header(shape="(2.0, 12)")),
    "code as shape": with_header(header(shape="__import__('os').abort()")),
    "code as header": with_header("__import__('os').abort()"),
    "unhashable key": with_header("{[]: 1}"),
    "unfinished header": with_header("{'descr': ("),
    "brackets": with_header("(" * 9000),
    "minus signs": with_header("-" * 9000 + "1"),
    "header of another version": with_header(header(), version=b"\x02\x00"),
    "header of four gigabytes": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + header().encode() + bytes(24),
    "header beyond the end": b"\x93NUMPY\x01\x00\xff\xff" + header().encode() + bytes(24),
    "long integers of Python 2": with_header(header(shape="(2L, 3L, 4L)")),
    "unknown type": with_header(header("'|q7'")),
    "type with code": with_header(header("'|u1,__import__(\"os\")'")),
    "type in types": with_header(header("[" * 200 + "'|u1'" + "]" * 200)),
    "too many sides": with_header(header(shape=str((1,) * 100))),
    "missing key": with_header("{'descr': '|u1', 'shape': (24,)}"),
    "key too many": with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (24,), 'code': 1}"),
}


@pytest.mark.parametrize("content", REFUSED_FILES.values(), ids=REFUSED_FILES.keys())
def test_an_array_that_is_none_is_refused_by_name(tmp_path, content):
    path = tmp_path / "sheets.npy"
    path.write_bytes(content)
    with within(20):
        outcome, reason = named_outcome(MemoryMappedArrayDataset(filepath=str(path)).load)
    assert isinstance(outcome, str)
    assert str(path) in reason
    assert "make it anew" in reason


def test_a_sparse_file_is_taken_for_what_its_header_says(tmp_path):
    path = tmp_path / "sheets.npy"
    path.write_bytes(with_header(header(shape="(1000000000,)"), b""))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 1_000_000_000)
    assert map_array(path)[-1] == 0


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "dangling"])
def test_an_array_that_is_no_plain_file_is_refused_without_waiting_for_it(tmp_path, kind, make_special):
    make_special(tmp_path / "sheets.npy", kind)
    with within(10):
        outcome, reason = named_outcome(lambda: map_array(tmp_path / "sheets.npy"))
    assert isinstance(outcome, str)
    assert "sheets.npy" in reason


@HOW_MANY
def test_a_damaged_array_is_whole_or_refused(cases, tmp_path_factory, record_property):
    path: Path = tmp_path_factory.mktemp("arrays") / "sheets.npy"

    def survive(content: bytes) -> str:
        path.write_bytes(content)
        outcome, reason = named_outcome(lambda: map_array(path))
        if isinstance(outcome, str):
            assert str(path) in reason
            return outcome
        assert outcome.dtype.kind in "biuf"
        assert outcome.nbytes <= len(content)
        assert outcome.tobytes(order="A") == content[len(content) - outcome.nbytes :]
        return "accepted"

    counts = try_all(survive, spoilt(WHOLE), cases, record_property)
    assert min(counts["accepted"], counts[REFUSED]) > 0
