from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai import plots
from steel_xai.plots.strips import full_scale, overlay

OUTPUTS = ["no defect", "pit", "a rather long name of a class of cracks"]
SIZE = (8, 50)


@pytest.fixture
def sheets():
    return np.random.default_rng(0).integers(60, 120, (4, *SIZE), dtype=np.uint8)


@pytest.fixture
def truth():
    """Sheet 0 has no defect; the mask of sheet 3 covers all of it."""
    masks = np.zeros((4, *SIZE), dtype=bool)
    masks[1, 2:5, 10:20] = masks[2, :3, :5] = masks[3] = True
    return masks


@pytest.fixture
def predictions():
    ids = [f"{i}.jpg" for i in range(4)]
    return pd.DataFrame({"row": range(4), "image_id": ids, "label": [0, 1, 2, 1], "predicted": [1, 1, 0, 1]})


def drawn(figure):
    """Draw the figure (warnings are errors); give its blocks' axes."""
    figure.savefig(BytesIO(), format="png")
    return figure.axes[:-1]


def labels(axes):
    return [text.get_text().replace("\n", " ") for text in axes.texts]


def written(figure):
    return [text.get_text().replace("\n", " ") for text in figure.texts]


def boxes_lie_apart(figure):
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    inside = all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 + 0.5 for box in boxes)
    return inside and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_gallery_stacks_each_sheet_and_its_maps(predictions, sheets, truth):
    maps = {"gradcam": np.ones((4, *SIZE), dtype=np.float32), "noise": np.zeros((4, *SIZE), dtype=np.float32)}
    figure = plots.attribution_gallery(predictions, sheets, truth, maps, OUTPUTS, data_source="mill")
    blocks = drawn(figure)
    assert [labels(axes) for axes in blocks] == [["sheet", "GradCAM", "Noise"]] * 4
    assert {"n = 4 sheets · data: mill", "0.jpg · no defect, taken for pit", "1.jpg · pit"} <= set(written(figure))
    assert boxes_lie_apart(figure)
    picture = blocks[0].images[0].get_array()
    np.testing.assert_allclose(picture[:8], np.repeat(sheets[0][:, :, None] / 255, 3, axis=2))
    # An empty map is the faded sheet: no colour.
    last = picture[2 * (len(picture) // 3) :][:8]
    np.testing.assert_allclose(last, overlay(sheets[0], np.zeros(SIZE)))


def test_class_that_is_explained_is_named_where_it_is_not_the_true_one(predictions, sheets, truth):
    maps = {"gradcam": np.ones((4, *SIZE), dtype=np.float32)}
    aimed = predictions.assign(target=1)
    said = written(plots.attribution_gallery(aimed, sheets, truth, maps, OUTPUTS, data_source="mill"))
    assert {"0.jpg · no defect, taken for pit, explained: pit", "1.jpg · pit"} <= set(said)


def test_every_strip_of_a_defective_sheet_has_the_outline_and_none_of_a_sheet_without(predictions, sheets, truth):
    maps = {"gradcam": np.ones((4, *SIZE), dtype=np.float32)}
    figure = plots.attribution_gallery(predictions, sheets, truth, maps, OUTPUTS, data_source="mill")
    without, with_defect, *_ = drawn(figure)
    assert not without.collections
    (outline,) = with_defect.collections
    corners = [polygon for path in outline.get_paths() for polygon in path.to_polygons(closed_only=False)]
    strip = with_defect.images[0].get_array().shape[0] // 2
    tops = sorted(float(polygon[:, 1].min()) for polygon in corners)
    assert tops == pytest.approx([1.5, strip + 1.5])
    assert all(9 <= polygon[:, 0].min() <= polygon[:, 0].max() <= 20 for polygon in corners)


def test_legend_names_a_mask_only_where_one_is_drawn(predictions, sheets, truth):
    for masks, n_legends in ((truth, 1), (np.zeros_like(truth), 0)):
        maps = {"gradcam": np.ones((4, *SIZE), dtype=np.float32)}
        gallery = plots.attribution_gallery(predictions, sheets, masks, maps, OUTPUTS, data_source="mill")
        signed = np.zeros((4, 3, *SIZE), dtype=np.float32)
        evidence = plots.class_evidence(
            predictions, sheets, masks, signed, OUTPUTS, method="gradcam", data_source="mill"
        )
        assert [len(figure.legends) for figure in (gallery, evidence)] == [n_legends] * 2


def test_examples_are_the_best_sheet_and_the_one_with_the_median(predictions, sheets, truth):
    maps = np.ones((4, *SIZE), dtype=np.float32)
    dice = np.array([np.nan, 0.2, 0.6, 0.4])
    figure = plots.attribution_examples(
        predictions, sheets, truth, maps, truth, dice, OUTPUTS, method="hirescam", data_source="mill"
    )
    blocks = drawn(figure)
    assert len(blocks) == 2
    assert any(text.startswith("best: Dice 0.60 · 2.jpg") for text in written(figure))
    assert "median: Dice 0.40 · 3.jpg · pit" in written(figure)
    assert "HiResCAM, best and median of n = 3 sheets by Dice · data: mill" in written(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true mask", "predicted mask"]
    assert boxes_lie_apart(figure)


def test_evidence_for_every_class_names_the_true_and_the_predicted_one(predictions, sheets, truth):
    maps = np.zeros((4, 3, *SIZE), dtype=np.float32)
    maps[2, 0], maps[2, 2] = -3, 3
    figure = plots.class_evidence(predictions, sheets, truth, maps, OUTPUTS, method="gradcam", data_source="mill")
    blocks = drawn(figure)
    assert labels(blocks[1]) == ["sheet", "no defect", "pit (true, predicted)", OUTPUTS[2]]
    assert labels(blocks[2]) == ["sheet", "no defect (predicted)", "pit", f"{OUTPUTS[2]} (true)"]
    assert [text.get_fontweight() for text in blocks[2].texts] == ["normal", "normal", "normal", "bold"]
    picture = blocks[2].images[0].get_array()
    strip = len(picture) // 4
    red, blue = picture[3 * strip, 0], picture[strip, 0]
    assert red[0] > red[2] + 0.5
    assert blue[2] > blue[0] + 0.5
    assert labels(figure.axes[-1]) == ["relevance", "inhibits", "excites", "0"]
    assert boxes_lie_apart(figure)


def test_classes_of_one_sheet_share_a_scale_that_is_symmetric(predictions, sheets, truth):
    maps = np.zeros((4, 3, *SIZE), dtype=np.float32)
    maps[1, 0], maps[1, 1], maps[1, 2] = 4, -4, 2
    figure = plots.class_evidence(predictions, sheets, truth, maps, OUTPUTS, method="gradcam", data_source="mill")
    picture = drawn(figure)[1].images[0].get_array()
    strip = len(picture) // 4
    for k, share in enumerate((1.0, -1.0, 0.5), start=1):
        expected = overlay(sheets[1], np.full(SIZE, share))
        np.testing.assert_allclose(picture[k * strip : k * strip + 8], expected, atol=1e-6)


def test_errors_are_grouped_under_what_they_are(sheets, truth):
    errors = pd.DataFrame(
        {
            "image_id": ["a.jpg", "b.jpg", "c.jpg"],
            "label": [0, 2, 1],
            "predicted": [1, 1, 0],
            "confidence": [0.97, 0.6, 0.8],
            "group": ["false_positive", "false_positive", "false_negative"],
            "class": [1, 1, 1],
        }
    )
    maps, classes = np.ones((3, 2, *SIZE), dtype=np.float32), errors[["label", "predicted"]].to_numpy()
    figure = plots.error_panels(
        errors, sheets[:3], truth[:3], maps, classes, OUTPUTS, method="gradcam", data_source="mill"
    )
    blocks = drawn(figure)
    assert {
        "False positives: taken for pit",
        "False negatives: pit, taken for no defect",
        "a.jpg · predicted with 97%",
        "GradCAM, one scale a sheet · n = 3 sheets · data: mill",
    } <= set(written(figure))
    assert labels(blocks[1]) == ["sheet", f"{OUTPUTS[2]} (true)", "pit (predicted)"]
    left, right, below = (axes.get_window_extent() for axes in blocks)
    assert left.y0 == right.y0
    assert below.y1 < left.y0
    assert boxes_lie_apart(figure)


def test_figure_of_errors_says_when_there_are_none():
    errors = pd.DataFrame(columns=["image_id", "label", "predicted", "confidence", "group", "class"])
    nothing = np.empty((0, *SIZE))
    figure = plots.error_panels(
        errors,
        nothing.astype(np.uint8),
        nothing.astype(bool),
        np.empty((0, 2, *SIZE), np.float32),
        np.empty((0, 2), np.int64),
        OUTPUTS,
        method="gradcam",
        data_source="mill",
    )
    assert "No test sheet was taken for a wrong class." in written(figure)


def test_square_sheets_stand_three_abreast(predictions):
    sheets = np.full((4, 20, 20), 90, dtype=np.uint8)
    maps = {"lime": np.ones((4, 20, 20), dtype=np.float32)}
    figure = plots.attribution_gallery(predictions, sheets, sheets > 200, maps, OUTPUTS, data_source="mill")
    tops = [axes.get_window_extent().y1 for axes in drawn(figure)]
    assert tops[0] == tops[1] == tops[2] > tops[3]
    assert boxes_lie_apart(figure)


def test_full_colour_is_that_of_the_strongest_half_percent():
    relevance = np.zeros((10, 100), dtype=np.float32)
    relevance[0, :10] = -2
    relevance[0, 0] = 50
    assert full_scale(relevance) == 2
    relevance[0, 1:10] = 0
    assert full_scale(relevance) == 50
    assert full_scale(np.zeros((2, 2), dtype=np.float32)) == 1
