import numpy as np
import pandas as pd
from tests.unit.cascade.conftest import CLASS_NAMES

from steel_xai.cascade.steps import check_lineage, mask_probabilities
from steel_xai.cascade.training import draw_sheets, train_unets


def _split(labels, parts, copies=0):
    n = len(labels)
    return pd.DataFrame({"row": np.arange(n), "label": labels, "split": parts, "copy": copies})


def test_every_sheet_with_the_class_is_drawn_and_others_in_proportion():
    labels = [2, 0, 0, 3, 1, 0, 0, 0] * 2
    split = _split(labels, ["train"] * 8 + ["validation"] * 8)
    drawn = draw_sheets(split, 2, 1.5, seed=0)
    for part in ("train", "validation"):
        has_class = drawn.loc[drawn["split"] == part, "label"].isin([2, 3])
        assert has_class.sum() == 2
        assert (~has_class).sum() == 3
    assert drawn["row"].is_monotonic_increasing


def test_test_sheets_and_copies_are_never_drawn():
    split = _split(
        [1, 1, 0, 1, 0, 1], ["train", "test", "train", "validation", "validation", "train"], [0, 0, 0, 0, 0, 1]
    )
    assert draw_sheets(split, 1, 99, seed=0)["row"].tolist() == [0, 2, 3, 4]


def test_draw_follows_the_seed_and_differs_between_classes():
    split = _split([1, 2] + [0] * 60 + [3, 0], ["train"] * 62 + ["validation"] * 2)
    first, again, other = (draw_sheets(split, 1, 4, seed)["row"].tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert set(first) - {0} != set(draw_sheets(split, 2, 4, 0)["row"]) - {1}


def test_part_without_the_class_still_gets_a_sheet():
    drawn = draw_sheets(_split([1, 0, 0], ["train", "train", "validation"]), 1, 1, seed=0)
    assert drawn["split"].tolist() == ["train", "train", "validation"]


def test_each_class_gets_a_network_that_belongs_to_the_whole_split(
    tmp_path, steps, sheets, masks, gate_split, split, parameters
):
    unets, history = train_unets(
        sheets,
        masks,
        split,
        class_names=CLASS_NAMES,
        network=parameters.network,
        parameters=parameters.training,
        dice_smoothing=1,
        negatives_per_positive=1,
        seed=0,
        folder=tmp_path,
        data_source="toy",
    )
    assert {number: unet.description.outputs for number, unet in unets.items()} == {
        1: ["no defect", "bright"],
        2: ["no defect", "dark"],
    }
    assert list(history["class"]) == [1, 2]
    (found,) = mask_probabilities(unets[2], 2, sheets, np.arange(2), batch_size=2, device="cpu")
    assert found.shape == (2, 32, 64)
    check_lineage(type(steps)(steps.gate, steps.labels, unets, CLASS_NAMES), sheets, masks, gate_split, split, "toy")
