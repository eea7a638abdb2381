import numpy as np
import pytest
import torch

from steel_xai.batches import IMAGENET_MEAN, IMAGENET_STD, Examples, load_batch, normalise

CPU = torch.device("cpu")


def examples(flip_h, flip_v):
    n = len(flip_h)
    return Examples(np.arange(n), np.zeros(n, np.int64), np.array(flip_h), np.array(flip_v))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_normalised_channel_by_channel(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (4, channels, 5, 6), dtype=np.uint8)
    batch = normalise(torch.from_numpy(pixels))
    mean, std = np.reshape(IMAGENET_MEAN, (3, 1, 1)), np.reshape(IMAGENET_STD, (3, 1, 1))
    np.testing.assert_allclose(batch, (np.broadcast_to(pixels, (4, 3, 5, 6)) / 255 - mean) / std, atol=1e-5)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_each_example_is_flipped_as_it_says():
    sheets = np.random.default_rng(0).integers(0, 256, (4, 1, 5, 6), dtype=np.uint8)
    batch = load_batch(sheets, examples([False, True, False, True], [False, False, True, True]), CPU)
    straight = normalise(torch.from_numpy(sheets))
    for k, dims in enumerate([[], [2], [1], [1, 2]]):
        assert torch.equal(batch[k], straight[k].flip(dims)), k


def test_memory_mapped_sheets_are_read_and_not_changed(tmp_path):
    np.save(tmp_path / "sheets.npy", np.arange(60, dtype=np.uint8).reshape(2, 1, 5, 6))
    sheets = np.load(tmp_path / "sheets.npy", mmap_mode="r", allow_pickle=False)
    load_batch(sheets, examples([True, False], [True, False]), CPU)
    assert sheets.ravel().tolist() == list(range(60))


def test_two_flips_undo_each_other():
    flipped = examples([True, False], [False, True]).flipped(np.array([True, True]), np.array([False, True]))
    assert flipped.flip_h.tolist() == [False, True]
    assert flipped.flip_v.tolist() == [False, False]


def test_examples_are_those_of_one_split(fake_split):
    found = Examples.of(fake_split, "validation")
    assert found.rows.tolist() == list(range(36, 48))
    assert found.labels.tolist() == [0, 1] * 6
    assert len(found) == 12


def test_examples_of_a_read_only_table_are_writable(fake_split):
    found = Examples.of(fake_split, "train")
    assert all(array.flags.writeable for array in (found.rows, found.labels, found.flip_h, found.flip_v))
