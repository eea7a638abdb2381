import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from steel_xai.batches import normalise
from steel_xai.errors import InputError
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows, cut_windows, window_offsets

SIDE = 32


def patches(count=3, size=(SIDE, SIDE), black_level=10, max_black=0.5):
    return PatchParameters(count=count, size=size, black_level=black_level, max_black=max_black)


def split_table(rows, labels, splits, **more):
    columns = {"copy": 0, "flip_h": 0, "flip_v": 0, **more}
    names = [f"{row}.jpg" for row in rows]
    return pd.DataFrame({"row": rows, "image_id": names, "label": labels, "split": splits, **columns})


def cut(sheets, masks, split, patches, folder, labels="any_defect"):
    return cut_windows(sheets, masks, split, patches, labels=labels, folder=folder)


def no_masks(sheets):
    return np.zeros((len(sheets), *sheets.shape[2:]), np.uint8)


class Brightness(nn.Module):
    """Logits 0 and a window's mean normalised value, times a factor: no flip changes them."""

    def __init__(self, n_classes=2):
        super().__init__()
        self.factor = nn.Parameter(torch.arange(n_classes, dtype=torch.float32))
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        return images.mean(dim=(1, 2, 3))[:, None] @ self.factor[None]


class Fixed(nn.Module):
    """Given probabilities for the windows of a batch, in order."""

    def __init__(self, probabilities):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log() + 3)

    def forward(self, images):
        return self.logits


def test_the_studys_six_windows_reach_from_edge_to_edge():
    found = window_offsets((64, 400), patches(6, (64, 64)))
    assert found == [(0, 0), (0, 67), (0, 134), (0, 202), (0, 269), (0, 336)]


def test_one_window_lies_in_the_middle():
    assert window_offsets((40, 100), patches(1)) == [(4, 34)]


@given(count=st.integers(1, 12), width=st.integers(SIDE, 500))
def test_windows_are_even_ordered_and_symmetric(count, width):
    lefts = [left for _, left in window_offsets((SIDE, width), patches(count))]
    free = width - SIDE
    assert len(lefts) == count
    assert lefts == sorted(lefts)
    if count > 1:
        assert (lefts[0], lefts[-1]) == (0, free)
        assert np.abs(np.array(lefts) - np.linspace(0, free, count)).max() <= 0.5
    odd_middle = count % 2 == 1 and free % 2 == 1
    mirrored = [free - left for left in reversed(lefts)]
    assert sum(one != other for one, other in zip(lefts, mirrored, strict=True)) == int(odd_middle)


@pytest.mark.parametrize("size", [(65, 64), (64, 401)])
def test_window_larger_than_the_sheet_is_refused(size):
    with pytest.raises(InputError, match=r"training\.patches\.size: windows of .* do not fit into sheets of 64x400"):
        window_offsets((64, 400), patches(size=size))


@pytest.mark.parametrize("channels", [1, 3])
def test_windows_are_the_sheets_pixels(tmp_path, channels):
    sheets = np.random.default_rng(0).integers(50, 256, (3, channels, 40, 96), dtype=np.uint8)
    split = split_table([2, 0, 1], [0, 0, 0], ["train", "validation", "test"])
    windows, window_split = cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    assert windows.shape == (6, channels, SIDE, SIDE)
    assert window_split.columns.tolist() == split.columns.tolist()
    assert window_split["image_id"].tolist() == ["2.jpg"] * 3 + ["0.jpg"] * 3
    assert window_split["split"].tolist() == ["train"] * 3 + ["validation"] * 3
    expected = [sheets[row, :, 4:36, left : left + SIDE] for row in (2, 0) for left in (0, 32, 64)]
    np.testing.assert_array_equal(windows[window_split["row"]], expected)


def test_windows_are_mapped_from_a_file_that_leaves_the_folder_clean(tmp_path):
    sheets = np.full((2, 1, SIDE, 96), 90, np.uint8)
    split = split_table([0, 1], [0, 0], ["train", "validation"])
    windows, _ = cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    assert isinstance(windows, np.memmap)
    assert (windows == 90).all()
    assert list(tmp_path.iterdir()) == []


def test_more_sheets_than_are_cut_at_once_keep_their_order(tmp_path):
    sheets = np.arange(20, 220, dtype=np.uint8).repeat(SIDE * SIDE).reshape(200, 1, SIDE, SIDE)
    split = split_table(range(200), 0, ["train", "validation"] * 100)
    windows, window_split = cut(sheets, no_masks(sheets), split, patches(1), tmp_path)
    assert (windows[window_split["row"], 0, 0, 0] == window_split["image_id"].str[:-4].astype(int) + 20).all()


def test_label_is_that_of_the_mask_within_the_window(tmp_path):
    sheets = np.full((2, 1, SIDE, 96), 90, np.uint8)
    masks = no_masks(sheets)
    masks[0, 31, 31] = 0b0100  # one pixel of class 3 in the first window
    masks[0, :10, 40:50] |= 0b0001  # class 1 in the second, of equal size as class 2
    masks[0, 10:20, 40:50] |= 0b0010
    masks[0, :4, 64:90] |= 0b1000  # class 4 in the third, overlapped by a smaller class 1
    masks[0, :3, 64:90] |= 0b0001
    split = split_table([0, 1], [1, 0], ["train", "validation"])
    found = {}
    for labels in ("any_defect", "single_class"):
        _, window_split = cut(sheets, masks, split, patches(), labels=labels, folder=tmp_path)
        found[labels] = window_split["label"].tolist()
    assert found == {"any_defect": [1, 1, 1, 0, 0, 0], "single_class": [3, 1, 4, 0, 0, 0]}


def test_the_eighth_class_has_a_bit_as_well(tmp_path):
    sheets = np.full((2, 1, SIDE, SIDE), 90, np.uint8)
    split = split_table([0, 1], [8, 8], ["train", "validation"])
    masks = np.full_like(no_masks(sheets), 1 << 7)
    _, window_split = cut(sheets, masks, split, patches(1), tmp_path, "single_class")
    assert window_split["label"].tolist() == [8, 8]


def test_copies_of_a_sheet_are_copies_of_its_windows_with_the_same_flips(tmp_path):
    sheets = np.full((2, 1, SIDE, 96), 90, np.uint8)
    split = split_table(
        [0, 1, 0], [1, 0, 1], ["train", "validation", "train"], copy=[0, 0, 1], flip_h=[0, 0, 1], flip_v=[0, 0, 0]
    )
    windows, window_split = cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    train = window_split[window_split["split"] == "train"]
    assert len(windows) == 6
    assert train["row"].tolist() == [0, 1, 2, 0, 1, 2]
    assert train["copy"].tolist() == train["flip_h"].tolist() == [0, 0, 0, 1, 1, 1]
    assert train["flip_v"].tolist() == [0] * 6


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_windows_of_one_sheet_never_straddle_splits(tmp_path, data):
    n = data.draw(st.integers(3, 12))
    splits = ["train", "validation", *data.draw(st.lists(st.sampled_from(["train", "validation", "test"]), min_size=n))]
    sheets = np.arange(20, 20 + len(splits), dtype=np.uint8).repeat(SIDE * 80).reshape(-1, 1, SIDE, 80)
    copies = data.draw(st.lists(st.sampled_from([k for k, name in enumerate(splits) if name == "train"]), max_size=9))
    rows = data.draw(st.permutations([*range(len(splits)), *copies]))
    split = split_table(rows, 0, [splits[row] for row in rows])
    windows, window_split = cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    # the grey level of a window tells its sheet
    sheet = windows[window_split["row"], 0].max(axis=(1, 2)).astype(int) - 20
    assert (sheet == window_split["image_id"].str[:-4].astype(int)).all()
    assert (window_split["split"] == np.array(splits)[sheet]).all()
    assert (np.bincount(sheet, minlength=len(splits)) == 3 * np.bincount(rows) * (np.array(splits) != "test")).all()
    held_back = {20 + row for row, name in enumerate(splits) if name == "test"}
    assert not held_back & set(np.unique(windows).tolist())


def test_black_windows_are_dropped_and_a_black_sheet_has_none(tmp_path):
    sheets = np.full((3, 1, SIDE, 96), 90, np.uint8)
    sheets[0, :, :, :16] = 9  # half of the first window, which is as much as makes it black
    sheets[0, :, :, 64:79] = 9  # a column less
    sheets[0, :, :, 32:64] = 10  # not dark
    sheets[1] = 0
    split = split_table([0, 1, 2], [1, 1, 0], ["train", "train", "validation"])
    windows, window_split = cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    assert window_split["image_id"].tolist() == ["0.jpg"] * 2 + ["2.jpg"] * 3
    assert (windows[0] == 10).all()
    np.testing.assert_array_equal(windows[1], sheets[0, :, :, 64:])


@pytest.mark.parametrize(("channels", "share"), [(1, 0.5), (3, 0.2063)])
def test_the_network_drops_the_windows_that_training_drops(tmp_path, channels, share):
    # grey levels next to the limit, and about as many dark pixels as make a window black
    near = np.random.default_rng(0).choice([10, 11], size=(60, channels, SIDE, 96), p=[share, 1 - share])
    sheets = near.astype(np.uint8)
    every = np.stack([sheets[..., left : left + SIDE] for left in (0, 32, 64)], axis=1)
    kept = (every.sum(axis=2, dtype=int) < 11 * channels).sum(axis=(2, 3)) < SIDE * SIDE / 2
    assert set(kept.sum(axis=1)) == {0, 1, 2, 3}
    split = split_table(range(60), 0, ["train", "validation"] * 30)
    limit = patches(black_level=11)
    windows, _ = cut(sheets, no_masks(sheets), split, limit, tmp_path)
    np.testing.assert_array_equal(windows, every[kept])
    # window i alone speaks for class i + 1, so that the sheet's classes tell which windows count
    p = np.full((3, 4), 0.1, np.float32) + 0.6 * np.eye(3, 4, k=1, dtype=np.float32)
    found = SheetFromWindows(Fixed(np.tile(p, (60, 1))), limit)(normalise(torch.from_numpy(sheets))).exp()
    counts = (found[:, 1:] / found[:, :1] > 3).numpy()
    np.testing.assert_array_equal(counts, kept | ~kept.any(axis=1, keepdims=True))


def test_labels_without_masks_are_refused_with_a_way_out(tmp_path):
    sheets = np.full((2, 1, SIDE, 96), 90, np.uint8)
    split = split_table([0, 1], [0, 0], ["train", "validation"])
    with pytest.raises(InputError, match=r"training\.patches.*ImageId,ClassId,EncodedPixels.*patches: null"):
        cut(sheets, no_masks(sheets)[:0], split, patches(), tmp_path)


@pytest.mark.parametrize("name", ["train", "validation"])
def test_split_without_a_window_is_refused_and_leaves_no_file(tmp_path, name):
    sheets = np.full((2, 1, SIDE, 96), 90, np.uint8)
    split = split_table([0, 1], [0, 0], ["train", "validation"])
    sheets[0 if name == "train" else 1] = 0
    with pytest.raises(InputError, match=rf"every window of the {name} sheets is black"):
        cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def bright(n=1, width=96):
    return normalise(torch.full((n, 1, SIDE, width), 120, dtype=torch.uint8))


def test_a_class_counts_by_its_best_window_and_no_defect_by_its_worst():
    network = Fixed([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.5, 0.1, 0.4], [0.9, 0.05, 0.05], [1, 0, 0], [0.6, 0.1, 0.3]])
    found = SheetFromWindows(network, patches())(bright(2)).exp()
    expected = torch.tensor([[0.2, 0.6, 0.4], [0.6, 0.1, 0.3]]) / torch.tensor([[1.2], [1.0]])
    torch.testing.assert_close(found, expected)


def test_two_classes_add_up_without_scaling():
    found = SheetFromWindows(Fixed([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]), patches())(bright()).exp()
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.7]]))


def test_black_windows_do_not_count_unless_all_are_black():
    probabilities = [[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]]
    pixels = torch.full((1, 1, SIDE, 96), 120, dtype=torch.uint8)
    pixels[..., :32] = 0
    found = SheetFromWindows(Fixed(probabilities), patches())(normalise(pixels)).exp()
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.4]]))
    found = SheetFromWindows(Fixed(probabilities), patches())(normalise(torch.zeros_like(pixels))).exp()
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.9]]))


def test_extreme_logits_stay_finite():
    network = Fixed([[0.5, 0.5]] * 3)
    network.logits = nn.Parameter(torch.tensor([[0.0, 1e4], [1e4, 0.0], [0.0, 0.0]]))
    assert SheetFromWindows(network, patches())(bright()).isfinite().all()


def test_a_sheet_of_one_window_has_its_probabilities():
    images = normalise(torch.randint(60, 200, (4, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.manual_seed(0)))
    network = Brightness(3)
    found = SheetFromWindows(network, patches(1))(images)
    torch.testing.assert_close(found, torch.log_softmax(network(images), dim=1))


@pytest.mark.parametrize("axis", [2, 3])
def test_a_flipped_sheet_has_the_flipped_windows(axis):
    pixels = torch.randint(0, 200, (5, 1, SIDE, 99), dtype=torch.uint8, generator=torch.manual_seed(0))
    pixels[:, :, :, :40] = 0
    network = Brightness()
    sheet_network = SheetFromWindows(network, patches(4))
    straight, flipped = (sheet_network(normalise(images)) for images in (pixels, pixels.flip(axis)))
    torch.testing.assert_close(straight, flipped)
    one, other = (windows.unflatten(0, (5, 4)) for windows in network.seen)
    torch.testing.assert_close(other, (one.flip(1) if axis == 3 else one).flip(axis + 1))


def test_the_network_sees_the_windows_that_training_cuts(tmp_path):
    sheets = np.random.default_rng(0).integers(50, 256, (2, 1, 40, 99), dtype=np.uint8)
    split = split_table([0, 1], [0, 0], ["train", "validation"])
    windows, _ = cut(sheets, no_masks(sheets), split, patches(), tmp_path)
    network = Brightness()
    SheetFromWindows(network, patches())(normalise(torch.from_numpy(sheets)))
    assert torch.equal(network.seen[0], normalise(torch.from_numpy(np.array(windows))))
    assert network.seen[0].is_contiguous(memory_format=torch.channels_last)


def test_gradient_reaches_the_windows_that_decide_under_autocast_too():
    pixels = torch.full((1, 1, SIDE, 96), 120, dtype=torch.uint8)
    pixels[..., 32:64] = 200
    images = normalise(pixels).requires_grad_()
    network = Brightness()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = SheetFromWindows(network, patches())(images)
    assert out.dtype == torch.float32
    out[0, 1].backward()
    assert network.factor.grad is not None
    assert images.grad is not None
    columns = images.grad.abs().sum(dim=(0, 1, 2)) > 0
    assert columns.nonzero().ravel().tolist() == list(range(32, 64))


def test_the_network_of_windows_is_a_child_of_that_name(tiny_architecture):
    network = build_network(tiny_architecture, 5, batch_norm=False, dropout=0.0, image_size=(64, 64))
    sheet_network = SheetFromWindows(network, patches(6, (64, 64)))
    assert [name for name, _ in sheet_network.named_children()] == ["windows"]
    assert all(name.startswith("windows.") for name in sheet_network.state_dict())
    assert sheet_network(normalise(torch.zeros(2, 1, 64, 400, dtype=torch.uint8))).shape == (2, 5)
