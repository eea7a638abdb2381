from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai import plots


@pytest.fixture
def table():
    """Dice and gain of four rows in no order, and of the random networks of two."""
    rows = [
        ("local_contrast", "control", 0.30, 0.0, 64, None),
        ("gradcam", "method", 0.25, -0.05, 64, False),
        ("gradcam_random_network", "control", 0.28, -0.02, 12, None),
        ("lime", "method", 0.10, -0.22, 16, None),
        ("hirescam", "method", 0.45, 0.15, 64, True),
        ("hirescam_random_network", "control", 0.07, -0.18, 12, None),
    ]
    table = pd.DataFrame(rows, columns=["method", "kind", "dice", "gain", "n", "beats_random_network"])
    for column in ("dice", "gain"):
        table = table.assign(**{f"{column}_low": table[column] - 0.04, f"{column}_high": table[column] + 0.03})
    over_random = table["method"].map({"gradcam": 0.05, "hirescam": 0.33})
    return table.assign(k_chosen_on="validation", random_network_gain=over_random)


def draw(table, study=None):
    figure = plots.attribution_ranking(table, study=study or {}, data_source="mill")
    figure.savefig(BytesIO(), format="png")  # warnings are errors
    return figure


def row_names(figure):
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def points(axes, marker):
    """Drawn points of a marker: x by row."""
    found = [line for line in axes.lines if line.get_marker() == marker and len(line.get_xdata())]
    return {int(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in found}


def test_rows_are_ranked_by_dice_and_random_networks_have_none_of_their_own(table):
    figure = draw(table)
    assert row_names(figure) == ["HiResCAM", "Local contrast", "GradCAM †", "LIME (n = 16)"]
    scores = figure.axes[0]
    assert points(scores, "o") == {0: 0.45, 2: 0.25, 3: 0.10}
    assert points(scores, "s") == {1: 0.30}
    assert points(scores, "x") == pytest.approx({0: 0.45 - 0.33, 2: 0.25 - 0.05})
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "method minus its paired gain over random weights (n = 12)" in legend
    bottom, top = scores.get_ylim()
    assert top < 0 < 3 < bottom  # the best above all others


def test_intervals_and_gains_are_those_of_the_table(table):
    scores, gains = draw(table).axes
    ends = [collection.get_segments()[0][:, 0].tolist() for collection in scores.collections]
    assert ends == [pytest.approx([dice - 0.04, dice + 0.03]) for dice in (0.45, 0.30, 0.25, 0.10)]
    assert points(gains, "o") == {0: 0.15, 2: -0.05, 3: -0.22}
    assert points(gains, "s") == {}


def test_study_is_drawn_only_where_it_has_the_method(table):
    figure = draw(table, study={"gradcam": 0.207, "deeplift": 0.17})
    assert points(figure.axes[0], "D") == {2: 0.207}
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "study (Severstal sheets)" in legend
    assert "study (Severstal sheets)" not in [text.get_text() for text in draw(table).legends[0].get_texts()]


def test_sheets_source_and_thresholds_are_named(table):
    assert draw(table).axes[0].get_title(loc="left") == (
        "mask: map above mean + k sd, k chosen on validation sheets · n = 64 test sheets with a defect · data: mill"
    )
    table.loc[1, "k_chosen_on"] = "study"
    assert "k of the study or chosen on validation sheets" in draw(table).axes[0].get_title(loc="left")


def test_gain_of_few_sheets_does_not_widen_the_axis_and_an_arrow_says_where_it_ends(table):
    narrow = draw(table).axes[1]
    assert points(narrow, "<") == {3: narrow.get_xlim()[0]}
    assert [text.get_text() for text in narrow.texts] == ["mean −0.22, to −0.26"]  # noqa: RUF001
    low, high = narrow.get_xlim()
    assert low < -0.09
    assert high > 0.18
    wide = draw(table.assign(n=64)).axes[1]
    assert wide.get_xlim()[0] < -0.26
    assert not wide.texts


def test_random_network_better_than_its_method_stays_in_sight(table):
    table.loc[table["method"] == "gradcam", "random_network_gain"] = 0.4
    scores = draw(table).axes[0]
    assert points(scores, "x")[2] == pytest.approx(-0.15)
    assert scores.get_xlim()[0] < -0.15


def test_few_sheets_without_intervals_are_drawn_as_points(table):
    table[["dice_low", "dice_high", "gain_low", "gain_high"]] = np.nan
    assert points(draw(table).axes[0], "o") == {0: 0.45, 2: 0.25, 3: 0.10}
