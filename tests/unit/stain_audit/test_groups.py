from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.errors import InputError
from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit.groups import (
    defect_free_sheets,
    draw_groups,
    has_black_edge,
    match_brightness,
    output_log_odds,
    read_attribute_list,
    steel_brightness,
)

N = 40
STAINS = StainDetectionParameters(
    min_brightness=220, min_contrast=90, max_length_share=0.4, max_roughness=16, min_area=12
)


@pytest.fixture
def predictions():
    """Forty sheets: the first 30 are test sheets; every third has a defect."""
    p_0 = np.linspace(0.1, 0.9, N)
    return pd.DataFrame(
        {
            "row": np.arange(N),
            "image_id": [f"{row}.jpg" for row in range(N)],
            "split": np.where(np.arange(N) < 30, "test", "validation"),
            "label": (np.arange(N) % 3 == 0).astype(int),
            "predicted": 0,
            "p_0": p_0,
            "p_1": 0.75 * (1 - p_0),
            "p_2": 0.25 * (1 - p_0),
        }
    ).drop(index=5)


@pytest.fixture
def index():
    """The index also has sheets without a prediction; the first four sheets are frames of one strip."""
    return pd.DataFrame(
        {
            "row": np.arange(N),
            "image_id": [f"{row}.jpg" for row in range(N)],
            "white_stain": (np.arange(N) % 2).astype(int),
            "duplicate_group": np.where(np.arange(N) < 4, 0, np.arange(N)),
        }
    )


@pytest.fixture
def sheets():
    """Calm sheets; every fourth begins with a black end."""
    sheets = np.full((N, 1, 64, 100), 100, dtype=np.uint8)
    sheets[::4, :, :, :30] = 2
    return sheets


def collect(predictions, index, sheets, **options):
    how = {"attribute": "white_stain", "listed": None, "output": 0, "seed": 0} | options
    return defect_free_sheets(predictions, index, sheets, **how)


def test_groups_are_defect_free_test_sheets_one_of_each_strip(predictions, index, sheets):
    found = collect(predictions, index, sheets)
    rows = set(found["row"])
    assert len(rows & {1, 2}) == 1
    assert rows - {1, 2} == {row for row in range(4, 30) if row % 3 and row != 5}
    assert (found["attributed"] == (found["row"] % 2 == 1)).all()
    np.testing.assert_allclose(found["probability"], predictions.set_index("row").loc[found["row"], "p_0"])


def test_order_is_random_and_follows_the_seed(predictions, index, sheets):
    first, again, other = (collect(predictions, index, sheets, seed=seed)["row"].tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert first != sorted(first)


def test_probability_and_log_odds_are_those_of_the_output(predictions, index, sheets):
    found = collect(predictions, index, sheets, output=2)
    p = predictions.set_index("row").loc[found["row"], "p_2"].to_numpy()
    np.testing.assert_allclose(found["probability"], p)
    np.testing.assert_allclose(found["log_odds"], np.log(p / (1 - p)))


def test_black_edge_is_looked_for_in_the_sheets(predictions, index, sheets):
    found = collect(predictions, index, sheets, attribute="black_edge")
    assert (found["attributed"] == (found["row"] % 4 == 0)).all()
    assert found["attributed"].any()


def test_listed_sheets_take_the_attributes_place_and_others_belong_to_no_group(predictions, index, sheets):
    listed = pd.DataFrame({"image_id": ["2.jpg", "7.jpg", "8.jpg", "9.jpg"], "attribute": [1, 0, 1, 1]})
    found = collect(predictions, index, sheets, listed=listed).set_index("row")["attributed"]
    assert found.to_dict() == {2: True, 7: False, 8: True}


def test_attribute_that_does_not_exist_is_named(predictions, index, sheets):
    with pytest.raises(InputError, match="no attribute 'rust': it is neither black_edge nor a column of sheet_index"):
        collect(predictions, index, sheets, attribute="rust")


def test_source_without_defect_free_sheets_has_empty_groups(predictions, index, sheets):
    for attribute in ("white_stain", "black_edge"):
        found = collect(predictions.assign(label=1), index, sheets, attribute=attribute)
        assert found.empty
        assert list(found) == ["row", "image_id", "attributed", "probability", "log_odds"]
        assert draw_groups(found, per_group=3).empty


def test_groups_are_no_larger_than_asked():
    found = pd.DataFrame({"row": range(9), "attributed": [True] * 2 + [False] * 7})
    drawn = draw_groups(found, per_group=3)
    assert drawn["row"].tolist() == [0, 1, 2, 3, 4]


def test_list_is_read():
    table = pd.DataFrame({"image_id": ["a", "b", "a"], "attribute": [1, 0, 1], "remark": "x"})
    assert read_attribute_list(table, ["a", "b", "c"]).to_dict() == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"image_id": ["a"]}, "has the columns image_id; it needs image_id,attribute"),
        ({"image_id": ["a", "b"], "attribute": [1, 2]}, "says '2' in line 3 that are neither"),
        ({"image_id": ["a", "b"], "attribute": ["yes", None]}, "says 'yes' in line 2 and 1 other values"),
        ({"image_id": ["z", "y"], "attribute": [1, 0]}, "names 2 sheets that are not in the data: y, z;"),
        ({"image_id": ["a", "a"], "attribute": [1, 0]}, "gives 1 sheets both 0 and 1: a; keep one row"),
    ],
)
def test_faulty_lists_are_refused(table, message):
    with pytest.raises(InputError, match=message):
        read_attribute_list(pd.DataFrame(table), ["a", "b"])


def test_empty_list_has_no_sheets():
    assert read_attribute_list(pd.DataFrame({"image_id": [], "attribute": []}), ["a"]).empty


def test_log_odds_tell_sheets_apart_where_the_probability_is_one():
    table = pd.DataFrame({"p_0": [1.0, 1.0, 1.0, 0.0], "p_1": [1e-12, 1e-15, 0.0, 1.0]})
    found = output_log_odds(table, 0)
    assert found[:2] == pytest.approx([12 * np.log(10), 15 * np.log(10)])
    assert np.isfinite(found).all()
    assert found[2] == -found[3] > found[1]


def test_log_odds_of_ten_outputs_are_taken_in_order():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(11), size=3)
    table = pd.DataFrame({f"p_{k}": probabilities[:, k] for k in range(11)})
    expected = np.log(probabilities[:, 10] / (1 - probabilities[:, 10]))
    np.testing.assert_allclose(output_log_odds(table, 10), expected)


def test_pairs_are_the_nearest_of_those_allowed():
    # 100 could take 101, but then 103 had none within 2.
    pairs = match_brightness(np.array([100.0, 103, 150]), np.array([101.0, 98.5, 200]), caliper=2)
    assert pairs.tolist() == [[0, 1], [1, 0]]


def test_sheets_without_a_brightness_have_no_pair():
    assert match_brightness(np.array([np.nan, 5.0]), np.array([5.0, 5.0]), caliper=1)[:, 0].tolist() == [1]
    assert match_brightness(np.array([1.0]), np.array([]), caliper=1).shape == (0, 2)


levels = st.lists(st.integers(0, 20).map(float), min_size=1, max_size=5).map(np.array)


@settings(max_examples=50, deadline=None)
@given(levels, levels, st.integers(0, 6))
def test_no_other_pairing_has_more_pairs_or_smaller_differences(one, other, caliper):
    pairs = match_brightness(one, other, caliper=caliper)
    differences = np.abs(one[pairs[:, 0]] - other[pairs[:, 1]])
    assert (differences <= caliper).all()
    assert all(len(set(column)) == len(pairs) for column in pairs.T)
    few, many = sorted((one, other), key=len)
    rivals = []
    for order in permutations(range(len(many)), len(few)):
        gaps = np.abs(few - many[list(order)])
        rivals.append((-(gaps <= caliper).sum(), gaps[gaps <= caliper].sum()))
    assert (-len(pairs), differences.sum()) == min(rivals)


def test_brightness_is_of_steel_without_stains_and_black_end():
    sheet = np.full((1, 64, 200), 100, dtype=np.uint8)
    sheet[:, :, 100:] = 120
    sheet[:, :, :20] = 2
    sheet[:, 20:26, 60:66] = sheet[:, 40:46, 60:66] = 255
    sheets = np.stack([np.zeros_like(sheet), sheet])
    black, brightness = steel_brightness(sheets, np.array([0, 1]), STAINS)
    assert np.isnan(black)
    # 78 columns at 100 (2 more are left out beside a slanted edge) and 100 at 120, less about 200 pixels at 100.
    assert brightness == pytest.approx((78 * 100 + 100 * 120) / 178, abs=0.3)
    assert brightness < 115


def test_black_edge_needs_steel_and_black():
    sheet = np.full((3, 64, 100), 100, dtype=np.uint8)
    black = np.zeros_like(sheet)
    both = sheet.copy()
    both[:, :, 80:] = 3
    assert [has_black_edge(each) for each in (sheet, black, both)] == [False, False, True]
