import cv2
import numpy as np
import pytest

from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit.stains import clusters, cut_stains, drawn_stains, paint_over, paste, whole_stains
from steel_xai.white_stains import detect_white_stains

PARAMETERS = StainDetectionParameters(
    min_brightness=220, min_contrast=90, max_length_share=0.4, max_roughness=16, min_area=12
)
HEIGHT, WIDTH = 64, 200


def flat_sheet(n_channels=1):
    return np.full((n_channels, HEIGHT, WIDTH), 100, np.uint8)


def with_blobs(sheet, *centres, level=250, radius=4):
    """Blobs with a soft rim: opacity falls from 1 to 0 over two pixels."""
    opacity = np.zeros((HEIGHT, WIDTH), np.float32)
    for centre in centres:
        distance = np.hypot(np.arange(WIDTH) - centre[0], np.arange(HEIGHT)[:, None] - centre[1])
        opacity = np.maximum(opacity, np.clip((radius + 1 - distance) / 2, 0, 1).astype(np.float32))
    return (sheet + opacity * (level - sheet.astype(np.float32))).round().astype(np.uint8), opacity


def cut(sheet):
    return cut_stains(sheet[None], [0], PARAMETERS)


def test_cut_out_has_the_opacity_that_the_stain_was_painted_with():
    sheet, opacity = with_blobs(flat_sheet(), (100, 30))
    (stain,) = cut(sheet)
    rows, columns = np.flatnonzero(opacity.any(axis=1)), np.flatnonzero(opacity.any(axis=0))
    truth = opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert stain.opacity.shape == truth.shape
    np.testing.assert_allclose(stain.opacity, truth, atol=0.02)
    assert (truth > 0.55).sum() <= stain.area <= (truth > 0.45).sum()


def test_stain_pasted_back_where_it_was_gives_the_sheet_again():
    sheet, opacity = with_blobs(flat_sheet(), (100, 30), (112, 40))
    (stain,) = cut(sheet)
    again = flat_sheet()
    top, left = (int(np.flatnonzero(opacity.any(axis=axis))[0]) for axis in (1, 0))
    paste(again, stain.pixels, stain.opacity, top, left)
    assert np.abs(again.astype(int) - sheet).max() <= 3


def test_colour_of_a_stain_is_cut_out_with_it():
    sheet, _ = with_blobs(flat_sheet(3), (100, 30))
    sheet[2] = sheet[0] - 20
    (stain,) = cut(sheet)
    assert np.unique(stain.pixels[:, stain.opacity == 1], axis=1).T.tolist() == [[250, 250, 230]]


def test_blobs_far_from_each_other_are_stains_of_their_own():
    assert len(cut(with_blobs(flat_sheet(), (40, 30), (54, 30), (150, 30))[0])) == 2


def test_stains_cut_by_the_border_fit_only_there():
    for y, expected in ((2, (True, False)), (32, (False, False)), (HEIGHT - 2, (False, True))):
        (stain,) = cut(with_blobs(flat_sheet(), (100, y))[0])
        assert (stain.at_top, stain.at_bottom) == expected


def test_stain_cut_by_a_side_border_is_left_out():
    assert cut(with_blobs(flat_sheet(), (1, 30))[0]) == []


def test_clean_sheet_yields_no_stain():
    assert cut(flat_sheet()) == []


def test_bright_streak_beside_a_stain_is_not_cut_out_with_it():
    sheet, _ = with_blobs(flat_sheet(), (100, 30))
    sheet[:, 40:60, 115:117] = 178
    (stain,) = cut(sheet)
    assert stain.opacity.shape[1] < 15


def test_fainter_chalk_near_a_stain_belongs_to_it_and_a_long_streak_does_not():
    sheet, _ = with_blobs(flat_sheet(), (100, 30))
    sheet, _ = with_blobs(sheet, (112, 40), level=190, radius=2)
    sheet[:, :, 90] = 255
    found = np.zeros((HEIGHT, WIDTH), bool)
    found[28:33, 98:103] = True
    whole = whole_stains(sheet, found, PARAMETERS)
    assert whole[40, 112]
    assert whole[25, 100]
    assert not whole[:, 90].any()


def test_rim_of_the_black_end_is_no_chalk():
    sheet, _ = with_blobs(flat_sheet(), (100, 30))
    sheet[:, :, 125:] = 2
    sheet[:, 20:30, 122:125] = 240
    found = detect_white_stains(sheet[None], PARAMETERS)[0]
    assert found.any()
    assert not whole_stains(sheet, found, PARAMETERS)[:, 120:].any()


def test_blending_by_hand():
    sheet = np.full((2, 3, 4), 100, np.uint8)
    opacity = np.array([[0.25, 1.0]], np.float32)
    paste(sheet, np.full((2, 1, 2), 200, np.uint8), opacity, 1, 2)
    assert sheet[:, 1, 2:].tolist() == [[125, 200], [125, 200]]
    assert (sheet != 100).sum() == 4


@pytest.mark.parametrize("n_channels", [1, 3])
def test_painting_over_restores_calm_steel(n_channels):
    sheet, opacity = with_blobs(flat_sheet(n_channels), (100, 30))
    before = sheet.copy()
    restored = paint_over(sheet, opacity > 0)
    assert np.abs(restored.astype(int) - 100).max() <= 2
    np.testing.assert_array_equal(sheet, before)


def test_clusters_part_the_mask():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10, 20] = mask[12, 40] = mask[30, 150] = True
    parts = clusters(mask)
    assert sorted(int(part.sum()) for part in parts) == [1, 2]
    np.testing.assert_array_equal(np.logical_or.reduce(parts), mask)


@pytest.mark.parametrize(("size", "n_channels"), [((64, 400), 1), ((128, 90), 3)])
def test_drawn_stains_fit_on_the_sheet_and_look_like_stains_to_the_detector(size, n_channels):
    stains = drawn_stains(6, size, n_channels, seed=0)
    detected = []
    for stain in stains:
        sheet = np.full((n_channels, *size), 100, np.uint8)
        paste(sheet, stain.pixels, stain.opacity, 0, 0)
        assert stain.pixels.shape == (n_channels, *stain.opacity.shape)
        assert 0 <= stain.opacity.min() <= stain.opacity.max() <= 1
        detected.append(detect_white_stains(sheet[None], PARAMETERS).any())
    assert sum(detected) >= 5


def test_drawn_stains_follow_their_seed():
    first, again, other = (drawn_stains(2, (64, 200), 1, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.opacity, b.opacity) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].opacity, other[0].opacity)
    assert not np.array_equal(first[0].opacity, first[1].opacity)


def test_speckle_is_not_taken_for_chalk():
    rng = np.random.default_rng(0)
    noisy = np.clip(flat_sheet() + rng.normal(0, 6, (1, HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    sheet, opacity = with_blobs(noisy, (100, 30))
    found = detect_white_stains(sheet[None], PARAMETERS)[0]
    near = cv2.dilate((opacity > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert not (whole_stains(sheet, found, PARAMETERS) & ~near).any()
