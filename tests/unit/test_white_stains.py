import cv2
import numpy as np
import pandas as pd
import pytest

from steel_xai.errors import InputError
from steel_xai.parameters import StainDetectionParameters
from steel_xai.white_stains import detect_white_stains, has_white_stain, read_stain_list

PARAMETERS = StainDetectionParameters(
    min_brightness=220, min_contrast=90, max_length_share=0.4, max_roughness=16, min_area=12
)
HEIGHT, WIDTH = 64, 400


def calm_sheet() -> np.ndarray:
    return 100 + 4 * np.random.default_rng(0).standard_normal((HEIGHT, WIDTH))


def finish(sheet: np.ndarray) -> np.ndarray:
    """One sheet as a batch ``[1, 1, h, w]``."""
    return np.asarray(sheet.clip(0, 255).astype(np.uint8))[None, None]


def add_blobs(sheet: np.ndarray, centres: tuple[tuple[int, int], ...] = ((200, 20), (210, 40))) -> np.ndarray:
    canvas = np.ascontiguousarray(sheet)
    for centre in centres:
        cv2.circle(canvas, centre, 3, 250.0, thickness=-1)
    return canvas


def which_are_stained(sheets: np.ndarray, n_jobs: int = 1, batch_size: int = 2) -> list[bool]:
    return list(has_white_stain(sheets, PARAMETERS, n_jobs=n_jobs, batch_size=batch_size))


def stained(sheet: np.ndarray) -> bool:
    return which_are_stained(finish(sheet))[0]


def test_a_calm_sheet_is_clean() -> None:
    assert not stained(calm_sheet())


def test_white_blobs_on_a_calm_sheet_are_stains() -> None:
    mask = detect_white_stains(finish(add_blobs(calm_sheet())), PARAMETERS)[0]
    expected = add_blobs(np.zeros((HEIGHT, WIDTH))) > 0
    np.testing.assert_array_equal(mask, expected)


def test_a_few_bright_pixels_are_no_stain() -> None:
    sheet = calm_sheet()
    sheet[30:33, 100:103] = 250
    assert not stained(sheet)


def test_grey_blobs_are_no_stains() -> None:
    sheet = calm_sheet()
    sheet[20:28, 100:106] = 190
    assert not stained(sheet)


def test_an_over_exposed_column_is_no_stain() -> None:
    sheet = calm_sheet()
    sheet[:, 100:104] = 255
    assert not stained(sheet)


def test_an_over_exposed_row_is_no_stain() -> None:
    sheet = calm_sheet()
    sheet[-4:] = 255
    assert not stained(sheet)


def test_an_over_exposed_area_is_no_stain() -> None:
    sheet = calm_sheet()
    sheet[:, 100:200] = 255
    assert not stained(sheet)


def test_spots_within_an_over_exposed_area_are_no_stains() -> None:
    sheet = calm_sheet()
    sheet[:, 100:300] = 200
    assert not stained(add_blobs(sheet))


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_bright_rim_of_a_black_end_is_no_stain(side: str) -> None:
    sheet = calm_sheet()
    sheet[:, :120] = 2
    for top in range(0, HEIGHT, 8):
        sheet[top : top + 5, 120:124] = 255
    assert not stained(sheet if side == "left" else sheet[:, ::-1])


def test_stains_far_from_the_black_end_are_still_found() -> None:
    sheet = add_blobs(calm_sheet())
    sheet[:, :120] = 2
    assert stained(sheet)


def test_bright_spots_among_rough_texture_are_no_stains() -> None:
    sheet = calm_sheet()
    sheet[10:54, 180:230] += np.random.default_rng(1).normal(scale=40, size=(44, 50))
    assert not stained(add_blobs(sheet))


def test_a_colour_sheet_is_judged_by_its_luminance() -> None:
    white = np.repeat(finish(add_blobs(calm_sheet())), 3, axis=1)
    yellow = white.copy()
    yellow[:, 2] = finish(calm_sheet())[:, 0]
    blue = white.copy()
    blue[:, :2] = finish(calm_sheet())[:, :1]
    assert which_are_stained(np.concatenate([white, yellow, blue])) == [True, True, False]


def test_each_sheet_of_a_batch_is_judged_alone() -> None:
    sheets = np.concatenate([finish(calm_sheet()), finish(add_blobs(calm_sheet())), finish(np.zeros((HEIGHT, WIDTH)))])
    assert which_are_stained(sheets) == [False, True, False]
    assert detect_white_stains(sheets, PARAMETERS).any(axis=(1, 2)).tolist() == [False, True, False]


def test_no_sheet_gives_no_answer() -> None:
    assert which_are_stained(np.empty((0, 1, HEIGHT, WIDTH), dtype=np.uint8)) == []


@pytest.mark.parametrize(("n_jobs", "batch_size"), [(1, 1), (2, 2), (2, 64)])
def test_stains_do_not_depend_on_workers_or_batches(n_jobs: int, batch_size: int) -> None:
    expected = [False, True, True, False, True]
    sheets = np.concatenate([finish(add_blobs(calm_sheet()) if here else calm_sheet()) for here in expected])
    assert which_are_stained(sheets, n_jobs, batch_size) == expected


def test_spots_of_the_smallest_stained_area_are_a_stain_and_of_one_pixel_less_are_none() -> None:
    sheet = calm_sheet()
    sheet[30:33, 100:104] = 250
    assert stained(sheet)
    sheet[32, 103] = 100
    assert not stained(sheet)


def test_stains_outshone_by_other_bright_things_are_none() -> None:
    lines = calm_sheet()
    lines[:, 300:303] = 255
    assert not stained(lines)
    assert not stained(add_blobs(lines))


def test_a_list_of_stained_sheets_is_read() -> None:
    table = pd.DataFrame({"image_id": ["b.jpg", "a.jpg", "b.jpg"], "remark": "x"})
    assert read_stain_list(table, ["a.jpg", "b.jpg", "c.jpg"]) == {"a.jpg", "b.jpg"}


def test_an_empty_list_says_that_no_sheet_is_stained() -> None:
    assert read_stain_list(pd.DataFrame({"image_id": []}, dtype="str"), ["a.jpg"]) == set()


def test_unknown_sheets_in_the_list_are_named() -> None:
    with pytest.raises(InputError, match=r"names 2 sheets .*: x\.jpg, y\.jpg"):
        read_stain_list(pd.DataFrame({"image_id": ["y.jpg", "a.jpg", "x.jpg"]}), ["a.jpg"])


def test_a_list_without_image_ids_is_an_error() -> None:
    with pytest.raises(InputError, match="has the columns id; it needs image_id"):
        read_stain_list(pd.DataFrame({"id": ["a.jpg"]}), ["a.jpg"])
