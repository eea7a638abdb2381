from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from steel_xai.inspection.neurons import MODES, Neuron, Patch, summarise_neurons
from steel_xai.inspection.receptive_field import ReceptiveField
from steel_xai.plots.neurons import neuron_gallery, neuron_scores
from steel_xai.plots.style import ORANGE

FIELDS = {
    "features.1": ReceptiveField((3, 3), (2, 2), (0, 0)),
    "features.9": ReceptiveField((111, 111), (16, 16), (-40, -40)),
}


@pytest.fixture
def neurons():
    rng = np.random.default_rng(0)
    found = []
    for layer, shape, field in (("features.1", (32, 32), (10, 12, 13, 15)), ("features.9", (64, 111), (0, 0, 64, 111))):
        for channel in (4, 17):
            images = {mode: rng.random((20, 20)) for mode in MODES}
            patches = [Patch(row, rng.integers(0, 256, shape, dtype=np.uint8), field) for row in (channel, 90)]
            found.append(Neuron(layer, channel, images, patches))
    return found


@pytest.fixture
def table():
    rows = [
        {"layer": layer, "filter": channel, "mode": mode} for layer in FIELDS for mode in MODES for channel in (4, 17)
    ]
    table = pd.DataFrame(rows).assign(sheet_mean=2.0, sheet_peak=4.0, exceeds_mean=True, exceeds_peak=True)
    table["mean"] = np.arange(len(table)) + 3.0
    table["peak"] = np.arange(len(table)) + 6.0
    table["high_frequency_share"] = np.linspace(0.9, 0.2, len(table))
    return table


def texts(figure):
    """Draw the figure (warnings are errors) and collect what it says."""
    figure.savefig(BytesIO(), format="png")
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def faint_points(axes):
    lines = [np.asarray(line.get_ydata(), float) for line in axes.lines if line.get_alpha()]
    return sorted(np.concatenate(lines).tolist())


def test_the_key_of_a_gallery_of_few_filters_is_not_cut_off(neurons, table):
    figure = neuron_gallery(neurons[::2], FIELDS, table, data_source="mill")
    figure.savefig(BytesIO(), format="png")
    (axes,) = figure.axes
    right = max(text.get_window_extent().x1 for text in axes.texts)
    assert right <= figure.bbox.x1


def test_gallery_names_layers_fields_and_strengths(neurons, table):
    figure = neuron_gallery(neurons, FIELDS, table, data_source="mill")
    found = texts(figure)
    assert "features.1: sees 3 × 3 pixels, step 2 × 2" in found  # noqa: RUF001
    assert "features.9: sees 111 × 111 pixels, step 16 × 16" in found  # noqa: RUF001
    assert "n = 4 filters, patches of 3 sheets · data: mill" in found
    assert found.count("filter 17") == 2
    # Mean 3 over 2 on sheets, peak 6 over 4; then mean 5 and peak 8.
    assert {"plain ×1.5 (1.5)", "multi-scale ×2.5 (2.0)"} <= set(found)  # noqa: RUF001


def test_all_pictures_share_the_scale_of_greys_and_show_their_pixels(neurons, table):
    figure = neuron_gallery(neurons, FIELDS, table, data_source="mill")
    pictures = figure.axes[0].images
    assert len(pictures) == 4 * (2 + 2)
    assert {(*picture.get_clim(), picture.get_cmap().name) for picture in pictures} == {
        (0, 1, "gray"),
        (0, 255, "gray"),
    }
    for picture in pictures:
        assert picture.get_clim()[1] == (255 if np.asarray(picture.get_array()).dtype == np.uint8 else 1)
    np.testing.assert_array_equal(pictures[1].get_array(), neurons[0].images["multi_scale"])
    np.testing.assert_array_equal(pictures[2].get_array(), neurons[0].patches[0].pixels)


def test_fields_smaller_than_their_patch_are_outlined_to_scale(neurons, table):
    figure = neuron_gallery(neurons, FIELDS, table, data_source="mill")
    axes = figure.axes[0]
    boxes = [box for box in axes.patches if isinstance(box, Rectangle) and box.get_edgecolor() == to_rgba(ORANGE)]
    assert len(boxes) == 4
    left, right, bottom, top = axes.images[2].get_extent()
    scale = (right - left) / 32
    assert (bottom - top) / 32 == pytest.approx(scale)
    assert boxes[0].get_xy() == pytest.approx((left + 12 * scale, top + 10 * scale))
    assert (boxes[0].get_width(), boxes[0].get_height()) == pytest.approx((3 * scale, 3 * scale))


def test_every_picture_has_a_frame_so_that_white_ones_are_seen(neurons, table):
    axes = neuron_gallery(neurons, FIELDS, table, data_source="mill").axes[0]
    frames = [box for box in axes.patches if isinstance(box, Rectangle) and box.get_edgecolor() != to_rgba(ORANGE)]
    assert len(frames) == len(axes.images)
    for frame, picture in zip(frames, axes.images, strict=False):
        left, right, bottom, top = picture.get_extent()
        assert frame.get_bbox().extents == pytest.approx((left, top, right, bottom))


def test_scale_bars_are_as_long_as_they_say(neurons, table):
    figure = neuron_gallery(neurons, FIELDS, table, data_source="mill")
    axes = figure.axes[0]
    patch_width = axes.images[2].get_extent()[1] - axes.images[2].get_extent()[0]
    lengths = [np.ptp(np.asarray(line.get_xdata(), float)) / patch_width for line in axes.lines]
    assert lengths == pytest.approx([10 / 32, 50 / 111])
    assert [text for text in texts(figure) if text.endswith(" px")] == ["10 px", "50 px"]


def error_bars(axes) -> Any:
    return axes.containers


def test_scores_show_every_filter_the_means_with_intervals_and_the_ratio_to_sheets(table):
    summary = summarise_neurons(table, dict.fromkeys(FIELDS, (2, 2)), 100, seed=0)
    figure = neuron_scores(table, summary, cutoff=0.25, n_sheets=50, data_source="mill")
    texts(figure)
    left, right = figure.axes
    assert "n = 4 filters, 50 sheets · data: mill" in left.get_title(loc="left")
    assert left.get_ylabel() == "Energy above 0.25 cycles per pixel"
    assert faint_points(left) == pytest.approx(sorted(table["high_frequency_share"]))
    means = [float(container.lines[0].get_ydata()[0]) for container in error_bars(left)]
    by_layer = table.groupby(["mode", "layer"], sort=False)["high_frequency_share"].mean()
    assert sorted(means) == pytest.approx(sorted(by_layer))
    assert faint_points(right) == pytest.approx(sorted(table["peak"] / 4))
    assert [label.get_text() for label in right.get_xticklabels()] == list(FIELDS)


def test_scores_of_flat_images_are_left_out(table):
    table.loc[table["layer"] == "features.1", "high_frequency_share"] = np.nan
    summary = summarise_neurons(table, dict.fromkeys(FIELDS, (2, 2)), 100, seed=0)
    figure = neuron_scores(table, summary, cutoff=0.25, n_sheets=50, data_source="mill")
    texts(figure)
    assert np.isfinite(faint_points(figure.axes[0])).sum() == 4
