from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from steel_xai.sheets.statistics import sheet_statistics

NAMES = ["pit", "scratch"]
TENSOR_SIZE = (64, 400)
Sheet = tuple[np.ndarray, np.ndarray]


def sheet(height: int = 256, width: int = 1600, grey: int = 100) -> Sheet:
    return np.full((height, width), grey, dtype=np.uint8), np.zeros((2, height, width), dtype=np.uint8)


def values_of(sheets: list[Sheet]) -> pd.Series:
    return sheet_statistics(sheets, NAMES, TENSOR_SIZE).set_index(["statistic", "class"])["value"]


def test_sheets_are_counted_once_each_by_class():
    free, one, both = sheet(), sheet(), sheet()
    one[1][1, 10:30, 10:30] = 1
    both[1][:, 10:30, 10:30] = 1
    counts = values_of([free, one, both])["sheets"]
    assert counts.to_dict() == {"all": 3, "none": 1, "scratch": 1, "several": 1}


def test_background_of_an_even_sheet_with_a_black_end():
    grey, masks = sheet()
    grey[:, :400] = 2
    values = values_of([(grey, masks)])
    # The dark columns are widened by two.
    assert values["black_share", "all"] == pytest.approx(402 / 1600)
    assert (values["black_left", "all"], values["black_right", "all"]) == (1, 0)
    assert values["grey_mean", "all"] == 100
    assert values["grey_sd", "all"] == 0
    assert ("grey_left", "all") not in values


def test_brightness_of_rows_and_columns():
    grey, masks = sheet()
    grey[:40] = 50
    grey[-40:] = 150
    values = values_of([(grey, masks)])
    assert values["grey_top", "all"] == 50
    assert values["grey_middle_rows", "all"] == 100
    assert values["grey_bottom", "all"] == 150
    assert values["grey_left", "all"] == values["grey_middle_columns", "all"] == pytest.approx(100)


def test_middle_rows_of_a_low_sheet_are_all_of_its_rows():
    grey, masks = sheet(height=60)
    grey[30:] = 200
    assert values_of([(grey, masks)])["grey_middle_rows", "all"] == 150


def test_noise_is_measured_between_neighbours():
    grey, masks = sheet()
    grey[:, ::2] = 110
    values = values_of([(grey, masks)])
    # Differences of +10 and -10 across, none along.
    assert values["adjacent_difference_sd_across", "all"] == pytest.approx(10, abs=0.01)
    assert values["adjacent_difference_sd_along", "all"] == 0


def test_masks_and_components_are_measured_in_raw_pixels():
    grey, masks = sheet()
    masks[0, 20:60, 100:120] = 1
    masks[0, 100:180, 300:320] = 1
    table = sheet_statistics([(grey, masks)], NAMES, TENSOR_SIZE).set_index(["statistic", "class"])
    assert table.loc[("mask_area_p50", "pit"), "value"] == 40 * 20 + 80 * 20
    assert table.loc[("mask_share", "pit"), "value"] == pytest.approx(2400 / 409_600)
    assert table.loc[("components", "pit"), "value"] == 2
    assert table.loc[("component_width_p50", "pit"), "value"] == 20
    assert table.loc[("component_height_p50", "pit"), "value"] == 60
    assert table.loc[("component_height_p50", "pit"), "n"] == 2
    assert not any(name == "scratch" for _, name in table.index)


def test_offsets_compare_the_interior_with_its_ring():
    grey, masks = sheet()
    masks[1, 100:150, 200:250] = 1
    grey[masks[1] == 1] = 130
    values = values_of([(grey, masks)])
    assert values["offset_mean", "scratch"] == 30
    assert values["offset_p5", "scratch"] == values["offset_p95", "scratch"] == 30


def test_map_finds_a_defect_that_stands_out_and_misses_one_that_does_not():
    seen, unseen = sheet(), sheet()
    seen[1][0, 100:140, 200:240] = unseen[1][1, 100:140, 200:240] = 1
    seen[0][100:140, 200:240] = 200
    values = values_of([seen, unseen])
    assert values["median_deviation_pixel_ap", "pit"] == pytest.approx(1)
    assert values["median_deviation_dice", "pit"] == pytest.approx(1)
    assert values["median_deviation_pixel_ap", "scratch"] == pytest.approx(100 / 25_600)
    assert values["median_deviation_pixel_ap", "all"] == pytest.approx((1 + 100 / 25_600) / 2)


def test_defect_free_source_has_no_mask_statistics():
    values = values_of([sheet()])
    assert not any(
        statistic.startswith(("mask", "component", "offset", "median", "local")) for statistic, _ in values.index
    )


def test_sheets_are_read_one_at_a_time():
    alive: list[int] = []

    def read() -> Iterator[Sheet]:
        for i in range(3):
            alive.append(i)
            yield sheet()

    assert sheet_statistics(read(), NAMES, TENSOR_SIZE)["n"].max() == 3
    assert alive == [0, 1, 2]


def test_sheet_that_is_all_black_is_counted_and_not_measured():
    table = sheet_statistics([sheet(grey=0)], NAMES, TENSOR_SIZE)
    assert set(table["statistic"]) == {"sheets"}
