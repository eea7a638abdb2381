from io import BytesIO, StringIO

import numpy as np
import pandas as pd
import pytest

from steel_xai.plots.stain_audit import attribute_distributions, before_and_after, dose_response

OUTPUTS = ["no defect", "pit", "crack"]
SIZE = (8, 50)
TESTED = {"testable": True, "effect_size": 0.8, "effect_low": 0.6, "effect_high": 0.9, "p_value": 1.2e-9}


def drawn(figure):
    """Draw the figure; warnings are errors."""
    figure.savefig(BytesIO(), format="png")
    return figure


def points(axes):
    """Places of the points of each group, from top to bottom."""
    return [np.asarray(collection.get_offsets()) for collection in axes.collections if len(collection.get_offsets())]


def written_and_read(table):
    """Take the way that tables have from stage to stage: an empty one loses its types."""
    return pd.read_csv(StringIO(table.to_csv(index=False)))


@pytest.fixture
def sheets_of_groups():
    log_odds = np.r_[np.linspace(2, 9, 10), np.linspace(-4, 3, 12)]
    return pd.DataFrame(
        {
            "attributed": np.arange(22) < 10,
            "log_odds": log_odds,
            "drawn": np.arange(22) < 20,
            "pair": np.where(np.isin(np.arange(22), [0, 1, 20, 21]), 1, -1),
        }
    )


def record(matched=TESTED, **main):
    about = {"name": "white stains", "output": "no defect", "verdict": "shortcut"}
    return {**about, **TESTED, **main, "matched": matched}


def test_every_sheet_is_a_point_in_its_group(sheets_of_groups):
    figure = drawn(attribute_distributions(sheets_of_groups, record(), data_source="mill"))
    every, matched = (points(axes) for axes in figure.axes)
    assert [len(group) for group in every] == [10, 10]
    assert [len(group) for group in matched] == [2, 2]
    np.testing.assert_allclose(every[0][:, 0], np.linspace(2, 9, 10))
    assert (np.abs(every[0][:, 1]) < 0.3).all()
    assert (np.abs(every[1][:, 1] - 1) < 0.3).all()


def test_groups_have_their_medians_numbers_and_tests(sheets_of_groups):
    figure = drawn(attribute_distributions(sheets_of_groups, record(), data_source="mill"))
    every, matched = figure.axes
    medians = [
        line.get_xdata()[0] for line in every.lines if len(line.get_xdata()) == 2 and line.get_linewidth() == 1.5
    ]
    assert medians == pytest.approx([5.5, np.median(sheets_of_groups["log_odds"][10:20])])
    labels = [label.get_text() for label in matched.get_yticklabels()]
    assert labels == ["with\nwhite stains\nn = 2", "without\nwhite stains\nn = 2"]
    subtitle = every.get_title(loc="left")
    assert subtitle.startswith("verdict: shortcut · test sheets without a defect · data: mill")
    assert subtitle.endswith("All drawn\neffect size +0.80 [+0.60, +0.90], one-sided p = 1.2e-09")
    assert matched.get_title(loc="left").startswith("Of like brightness\neffect size +0.80")


def test_axis_is_marked_with_probabilities(sheets_of_groups):
    axes = drawn(attribute_distributions(sheets_of_groups, record(), data_source="mill")).axes[0]
    marked = {label.get_text(): place for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}
    assert list(marked) == ["0.01", "0.1", "0.5", "0.9", "0.99", "0.999", "$1-10^{-4}$"]
    assert marked["0.5"] == 0
    assert marked["0.999"] == pytest.approx(np.log(999))
    low, high = axes.get_xlim()
    assert low < sheets_of_groups["log_odds"].min() < sheets_of_groups["log_odds"].max() < high


def test_far_probabilities_are_marked_as_powers(sheets_of_groups):
    far = sheets_of_groups.assign(log_odds=sheets_of_groups["log_odds"] * 8)
    axes = drawn(attribute_distributions(far, record(), data_source="mill")).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "0.5" in labels
    assert labels[-1].startswith("$1-10^{-")
    assert len(labels) <= 11


def test_groups_without_sheets_are_not_testable(sheets_of_groups):
    untested = {"testable": False}
    empty = written_and_read(sheets_of_groups.head(0))
    figure = drawn(attribute_distributions(empty, record(untested, testable=False), data_source="mill"))
    assert all(axes.get_title(loc="left").endswith("not testable, too few sheets") for axes in figure.axes)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "with\nwhite stains\nn = 0"


def test_no_doses_are_not_testable(doses):
    figure = drawn(dose_response(written_and_read(doses.head(0)), data_source="mill"))
    assert figure.axes[0].get_title(loc="left").startswith("not testable")


@pytest.fixture
def doses():
    rows = []
    for kind, slope in (("stain", 0.2), ("plain patch", 0.0)):
        for series, doses in (("number", [3, 1, 2]), ("area", [1, 1, 1])):
            for k, n_stains in enumerate(doses):
                shift = slope * (n_stains if series == "number" else k)
                row = {"series": series, "kind": kind, "n_stains": n_stains, "area_share": 0.001 * (k + 1), "n": 28}
                rows.append({**row, "median_shift": shift, "low": shift - 0.1, "high": shift + 0.1})
    return pd.DataFrame(rows)


def test_stain_and_control_have_a_line_over_area_and_over_number(doses):
    by_area, by_number = drawn(dose_response(doses, data_source="mill")).axes
    lines = {line.get_label(): np.asarray(line.get_xydata()) for line in by_number.lines if len(line.get_xydata()) == 3}
    np.testing.assert_allclose(lines["white stains"], [[1, 0.2], [2, 0.4], [3, 0.6]])
    np.testing.assert_allclose(lines["control: plain steel of the same shape"][:, 1], 0)
    stain = next(line for line in by_area.lines if line.get_label() == "white stains")
    np.testing.assert_allclose(stain.get_xydata(), [[0.001, 0], [0.002, 0.2], [0.003, 0.4]])
    heights = np.asarray(by_area.collections[0].get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((-0.1, 0.5))
    assert "0.1%" in [label.get_text() for label in by_area.get_xticklabels()]
    assert "n = 28 defective test sheets" in by_area.get_title(loc="left")
    assert by_area.get_title(loc="left").endswith("data: mill")


def test_dose_response_of_too_few_sheets_says_so(doses):
    figure = drawn(dose_response(doses.head(0), data_source="mill"))
    assert figure.axes[0].get_title(loc="left") == "not testable: too few defective test sheets · data: mill"


@pytest.mark.parametrize("size", [SIZE, (30, 40)])
def test_each_change_shows_both_states_side_by_side_with_their_maps(size):
    rng = np.random.default_rng(0)
    before = rng.integers(60, 120, (2, *size), dtype=np.uint8)
    after = before.copy()
    changed, truth = np.zeros((2, *size), dtype=bool), np.zeros((2, *size), dtype=bool)
    changed[:, 2:4, 5:9] = truth[0, 4:7, 20:30] = True
    after[changed] = 255
    maps = np.zeros((2, 2, 2, *size), dtype=np.float32)
    maps[:, 1, 0, 2:4, 5:9] = 1
    changes = pd.DataFrame(
        {
            "image_id": ["a.jpg", "b.jpg"],
            "label": [2, 0],
            "change": ["white stain pasted", "white stains painted over"],
            "p_before": [0.0001, 0.9],
            "p_after": [0.9999, 0.25],
        }
    )
    figure = drawn(
        before_and_after(
            changes,
            before,
            after,
            changed,
            truth,
            maps,
            np.array([[0, 2], [0, 1]]),
            OUTPUTS,
            method="gradcam",
            data_source="mill",
        )
    )
    written = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert {"a.jpg (crack): white stain pasted", "b.jpg (no defect): white stains painted over"} <= set(written)
    assert [text for text in written if text.startswith(("before", "after"))] == [
        'before: P("no defect") < 0.1%',
        'after: P("no defect") > 99.9%',
        'before: P("no defect") = 90.0%',
        'after: P("no defect") = 25.0%',
    ]
    assert "GradCAM, one scale a sheet · n = 2 sheets · data: mill" in written
    blocks = figure.axes[:4]
    assert [[text.get_text() for text in axes.texts] for axes in blocks] == [
        ["sheet", "no defect", "crack"],
        ["sheet", "no defect", "crack"],
        ["sheet", "no defect", "pit"],
        ["sheet", "no defect", "pit"],
    ]
    tops = [axes.get_window_extent().y1 for axes in blocks]
    assert tops[0] == pytest.approx(tops[1])
    assert tops[2] == pytest.approx(tops[3])
    assert tops[0] > tops[2]
    for axes, sheet in zip(blocks, (before[0], after[0], before[1], after[1]), strict=True):
        picture = np.asarray(axes.images[0].get_array())
        np.testing.assert_allclose(picture[: size[0]], np.repeat(sheet[:, :, None] / 255, 3, axis=2))
    # Only the stain after the change excites "no defect".
    faded, coloured = (np.asarray(axes.images[0].get_array()) for axes in blocks[:2])
    strip = len(faded) // 3
    assert np.ptp(faded[strip : strip + size[0]], axis=2).max() == 0
    assert (coloured[strip + 2 : strip + 4, 5:9, 0] > coloured[strip + 2 : strip + 4, 5:9, 2] + 0.3).all()
