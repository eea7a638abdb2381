import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steel_xai.array_file import ArrayFile
from steel_xai.errors import InputError


def load(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def test_blocks_make_one_array(tmp_path: Path) -> None:
    blocks = [np.arange(start * 6, start * 6 + n * 6, dtype=np.int16).reshape(n, 2, 3) for start, n in ((0, 1), (1, 4))]
    with ArrayFile(tmp_path / "a.npy", np.int16, (2, 3)) as file:
        for block in blocks:
            file.append(block)
    np.testing.assert_array_equal(load(tmp_path / "a.npy"), np.concatenate(blocks))


def test_many_items_leave_the_header_in_place(tmp_path: Path) -> None:
    with ArrayFile(tmp_path / "a.npy", np.uint8, ()) as file:
        for _ in range(3):
            file.append(np.full(1_000_000, 7, dtype=np.uint8))
    assert load(tmp_path / "a.npy").shape == (3_000_000,)
    assert (load(tmp_path / "a.npy") == 7).all()


def test_no_block_is_an_empty_array(tmp_path: Path) -> None:
    with ArrayFile(tmp_path / "a.npy", np.uint8, (4, 5)) as file:
        file.append(np.empty((0, 4, 5), dtype=np.uint8))
    assert load(tmp_path / "a.npy").shape == (0, 4, 5)


def test_a_transposed_block_is_written_in_its_own_order(tmp_path: Path) -> None:
    block = np.arange(24, dtype=np.uint8).reshape(2, 4, 3).transpose(0, 2, 1)
    with ArrayFile(tmp_path / "a.npy", np.uint8, (3, 4)) as file:
        file.append(block)
    np.testing.assert_array_equal(load(tmp_path / "a.npy"), block)


@pytest.mark.parametrize("block", [np.zeros((1, 3), dtype=np.uint8), np.zeros((1, 2), dtype=np.float32)])
def test_a_block_of_another_shape_or_type_is_refused_and_leaves_no_file(tmp_path: Path, block: np.ndarray) -> None:
    with (
        pytest.raises(TypeError, match=r"a\.npy holds uint8 \(2,\)"),
        ArrayFile(tmp_path / "a.npy", np.uint8, (2,)) as file,
    ):
        file.append(block)
    assert not list(tmp_path.iterdir())


def test_an_error_in_between_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with ArrayFile(tmp_path / "a.npy", np.uint8, (2,)) as file:
            file.append(np.zeros((1, 2), dtype=np.uint8))
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """A limit on file sizes makes the real system call fail half way, as a full disk does.

    It holds for whatever file the tests' own output goes to as well, so it is far above what they print.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files_only")
def test_a_full_disk_is_told_with_the_path_and_leaves_no_file(tmp_path: Path) -> None:
    file = ArrayFile(tmp_path / "a.npy", np.uint8, (1000,))
    with pytest.raises(InputError, match=r"cannot write .*a\.npy.*free some space"):
        file.append(np.zeros((20_000, 1000), dtype=np.uint8))
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_told_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*nowhere"):
        ArrayFile(tmp_path / "nowhere" / "a.npy", np.uint8, (2,))
