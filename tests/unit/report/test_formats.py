import math

import pandas as pd
import pytest

from steel_xai.report.elements import Figure, Paragraph, groups
from steel_xai.report.formats import (
    MINUS,
    MISSING,
    NARROW_SPACE,
    count,
    enumeration,
    interval,
    number,
    p_value,
    percent,
    percent_interval,
    signed,
    tie,
)
from steel_xai.report.frames import frame_table


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [
        (0.12345, 3, "0.123"),
        (-0.5, 2, f"{MINUS}0.50"),
        (-0.0001, 2, "0.00"),
        (None, 3, MISSING),
        (math.nan, 3, MISSING),
    ],
)
def test_numbers_have_fixed_digits_and_a_true_minus(value, digits, expected):
    assert number(value, digits) == expected


def test_differences_carry_their_sign():
    assert [signed(0.2, 1), signed(-0.2, 1), signed(None)] == ["+0.2", f"{MINUS}0.2", MISSING]


def test_interval_stands_in_brackets_or_not_at_all():
    assert interval(0.5, 0.4, 0.6) == "0.500 [0.400, 0.600]"
    assert interval(0.5, None, None) == "0.500"
    assert interval(0.1, -0.1, 0.3, 1, sign=True) == f"+0.1 [{MINUS}0.1, +0.3]"


def test_percentages_and_their_intervals():
    assert percent(0.123, 1) == f"12.3{NARROW_SPACE}%"
    assert percent_interval(0.5, [0.4, 0.6]) == f"50{NARROW_SPACE}% [40, 60]"
    assert percent_interval(0.5, None) == f"50{NARROW_SPACE}%"


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0123, "0.012"), (3.8e-13, "4 \N{MULTIPLICATION SIGN} 10⁻¹³"), (None, MISSING)]
)
def test_small_p_values_are_powers_of_ten(value, expected):
    assert p_value(value) == expected


def test_counts_and_lists_read_as_english():
    assert [count(1, "sheet"), count(1200, "copy", "copies")] == ["1 sheet", "1,200 copies"]
    assert [enumeration([]), enumeration(["a"]), enumeration(["a", "b", "c"])] == ["", "a", "a, b and c"]


def test_symbols_stay_on_the_line_of_their_values():
    assert " " not in tie("n = 64").replace("\N{NO-BREAK SPACE}", "")


def table(**columns):
    return frame_table("A table", pd.DataFrame(columns))


def texts(made):
    return [[cell.text for cell in row.cells] for row in made.rows]


def test_bounds_join_their_value():
    made = table(name=["a"], dice=[0.5], dice_low=[0.4], dice_high=[0.6])
    assert [column.title for column in made.columns] == ["Name", "Dice"]
    assert texts(made) == [["a", "0.500 [0.400, 0.600]"]]


def test_whole_columns_have_no_digits_and_others_keep_them():
    made = table(n=[12345, None], share=[1.0, 0.25])
    assert texts(made) == [["12,345", "1.000"], [MISSING, "0.250"]]


def test_cells_sort_by_their_numbers_and_missing_ones_have_none():
    made = table(share=[0.25, None])
    assert [row.cells[0].sort for row in made.rows] == [0.25, None]


def figure(width):
    return Figure("name", "Title", "Caption", "data:,", width, 100)


def test_two_narrow_figures_in_a_row_stand_side_by_side():
    kinds = [
        (group.kind, len(group.elements)) for group in groups([figure(700), figure(700), figure(700), Paragraph("")])
    ]
    assert kinds == [("pair", 2), ("single", 1), ("single", 1)]
    assert [group.kind for group in groups([figure(700), figure(1500)])] == ["single", "single"]
