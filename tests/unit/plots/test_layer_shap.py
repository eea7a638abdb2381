from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from steel_xai.plots.layer_shap import layer_shap
from steel_xai.plots.strips import overlay

OUTPUTS = ["no defect", "pit", "a rather long name of a class of cracks"]
SIZE = (8, 50)


@pytest.fixture
def table():
    rows = []
    for row, label in ((7, 1), (3, 2)):
        for layer, channels, height, width in (("features.0", 64, 4, 25), ("features.5", 128, 2, 12)):
            for rank, k in enumerate((1, 0)):
                about = {"row": row, "image_id": f"{row}.jpg", "label": label, "predicted": 1, "layer": layer}
                shape = {"channels": channels, "height": height, "width": width}
                rank_of = {"rank": rank, "class": k, "output": OUTPUTS[k], "probability": 0.8 - 0.7 * rank}
                sums = {"relevance": 1.234 - 13 * rank, "expected": 1.5 - 12 * rank}
                rows.append({**about, **shape, **rank_of, **sums, "agreement": 0.5 + 0.2 * rank})
    return pd.DataFrame(rows)


@pytest.fixture
def sheets():
    return np.random.default_rng(0).integers(60, 120, (2, *SIZE), dtype=np.uint8)


@pytest.fixture
def truth():
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[:, 2:5, 10:20] = True
    return masks


def test_each_sheet_has_a_block_a_layer_with_its_classes_and_probabilities(table, sheets, truth):
    maps = np.zeros((8, *SIZE), dtype=np.float32)
    figure = layer_shap(maps, table, sheets, truth, OUTPUTS, data_source="mill")
    figure.savefig(BytesIO(), format="png")
    blocks = figure.axes[:-1]
    labels = [[text.get_text() for text in axes.texts] for axes in blocks]
    sums = ["sum +1.23 of +1.50", "sum −11.8 of −10.5"]  # noqa: RUF001
    assert labels == [["sheet", "pit 80%", sums[0], "no defect 10%", sums[1]]] * 4
    bold = [[text.get_text() for text in axes.texts if text.get_fontweight() == "bold"] for axes in blocks]
    assert bold == [["pit 80%"], ["pit 80%"], [], []]
    written = {text.get_text().replace("\n", " ") for text in figure.texts}
    assert {
        "7.jpg · pit",
        "3.jpg · a rather long name of a class of cracks, taken for pit",
        "features.0: 64 maps of 4x25 · agreement 0.60",
        "features.5: 128 maps of 2x12 · agreement 0.60",
    } <= written
    assert any("n = 2 test sheets · data: mill" in text for text in written)
    assert any("agreement: median correlation" in text and "sum: what a map adds up to" in text for text in written)


def test_maps_of_one_sheet_and_layer_share_a_signed_scale(table, sheets, truth):
    maps = np.zeros((8, *SIZE), dtype=np.float32)
    maps[0], maps[1] = 2, -1
    maps[2] = 0.1
    figure = layer_shap(maps, table, sheets, truth, OUTPUTS, data_source="mill")
    first, second = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    step = len(first) // 3
    np.testing.assert_allclose(first[step:][:8], overlay(sheets[0], np.ones(SIZE)), atol=1e-6)
    np.testing.assert_allclose(first[2 * step :][:8], overlay(sheets[0], np.full(SIZE, -0.5)), atol=1e-6)
    np.testing.assert_allclose(second[step:][:8], overlay(sheets[0], np.ones(SIZE)), atol=1e-6)
