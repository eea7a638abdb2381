import json
import math
from dataclasses import replace

import numpy as np
import pytest

from steel_xai.stain_audit.changes import paste_stains, remove_stains
from steel_xai.stain_audit.interventions import intervene, no_defect
from steel_xai.stain_audit.material import collect_material

from .stained_world import BLACK, PARAMETERS, StainReader, classifier, stained_world


def material_of(sheets, masks, index, split, max_sheets=50):
    return collect_material(sheets, masks, index, split, white_stains=PARAMETERS, max_sheets=max_sheets, seed=0)


def run(world, network, min_sheets=5, seed=0):
    sheets, masks, index, split = world
    return intervene(
        classifier(network),
        sheets,
        masks,
        material_of(sheets, masks, index, split),
        white_stains=PARAMETERS,
        min_sheets=min_sheets,
        n_samples=100,
        batch_size=8,
        device="cpu",
        seed=seed,
    )


@pytest.fixture(scope="module")
def world():
    return stained_world()


def test_groups_are_of_test_sheets_and_nothing_is_of_training_sheets(world):
    sheets, masks, index, split = world
    material = material_of(sheets, masks, index, split)
    assert sorted(material.defective) == list(range(21, 40, 2))
    assert sorted(material.defect_free) == [22, 26, 30, 34, 38]
    assert sorted(material.stained) == [20, 24, 28, 32, 36]
    assert sorted(material.plain) == [10, 14, 18]
    assert material.origin == "cut out"
    assert len(material.stains) >= 5
    unseen = material_of(np.where(np.arange(40)[:, None, None, None] < 10, 0, sheets), masks, index, split).stains
    for stain, same in zip(material.stains, unseen, strict=True):
        np.testing.assert_array_equal(stain.pixels, same.pixels)


def test_near_duplicates_and_copies_count_once(world):
    sheets, masks, index, split = world
    index = index.assign(duplicate_group=index["row"] // 4)
    split = split.assign(copy=(split["row"] == 39).astype(int))
    found = material_of(sheets, masks, index, split).defective
    assert len(found) == 5
    assert 39 not in found


def test_defective_sheets_without_a_mask_are_left_out_and_counted(world):
    sheets, masks, index, split = world
    material = material_of(sheets, np.where(np.arange(40)[:, None, None] < 30, 0, masks), index, split)
    assert sorted(material.defective) == list(range(31, 40, 2))
    assert material.unmasked == 5


def test_sources_without_stains_get_drawn_ones():
    sheets, masks, index, split = stained_world(stained=False)
    material = material_of(sheets, masks, index, split)
    assert material.origin == "drawn"
    assert len(material.stains) > 5
    pasted = paste_stains(sheets, masks, material.defective, material, seed=0)
    assert len(pasted.rows) > 0


@pytest.mark.parametrize("n_channels", [1, 3])
def test_pasting_leaves_defects_and_black_ends_alone_and_changes_only_the_stains_shape(n_channels):
    sheets, masks, index, split = stained_world(n_channels=n_channels)
    material = material_of(sheets, masks, index, split)
    pasted = paste_stains(sheets, masks, material.defective, material, seed=0)
    assert pasted.treated.shape == pasted.control.shape == (len(pasted.rows), n_channels, 64, 160)
    np.testing.assert_array_equal(pasted.before, sheets[pasted.rows])
    for changed in (pasted.treated, pasted.control):
        touched = (changed != pasted.before).any(axis=1)
        assert not (touched & (masks[pasted.rows] != 0)).any()
        assert not (touched & (pasted.before[:, 0] < 10)).any()
    touched = (pasted.treated != pasted.before).any(axis=1)
    assert not ((pasted.control != pasted.before).any(axis=1) & ~touched).any()
    assert (pasted.treated[:, 0][pasted.where] > 150).all()
    assert pasted.control[:, 0][pasted.where].max() < 130
    assert pasted.where.any(axis=(1, 2)).all()


def test_pasting_follows_the_seed_and_the_row_alone(world):
    sheets, masks, index, split = world
    material = material_of(sheets, masks, index, split)
    whole = paste_stains(sheets, masks, material.defective, material, seed=0)
    one = paste_stains(sheets, masks, material.defective[3:4], material, seed=0)
    other = paste_stains(sheets, masks, material.defective, material, seed=1)
    np.testing.assert_array_equal(one.treated[0], whole.treated[3])
    np.testing.assert_array_equal(one.control[0], whole.control[3])
    assert not np.array_equal(whole.treated, other.treated)


def test_more_stains_add_to_fewer(world):
    sheets, masks, index, split = world
    material = material_of(sheets, masks, index, split)
    one, two = (paste_stains(sheets, masks, material.defect_free, material, seed=0, n_stains=n) for n in (1, 2))
    assert list(one.rows) == list(two.rows)
    assert (two.where | ~one.where).all()
    assert (two.where.sum(axis=(1, 2)) > one.where.sum(axis=(1, 2))).all()


def test_sheet_without_room_is_left_out_and_counted(world):
    sheets, masks, index, split = world
    full = masks.copy()
    full[21] = 1
    material = material_of(sheets, full, index, split)
    pasted = paste_stains(sheets, full, material.defective, material, seed=0)
    assert 21 in material.defective
    assert 21 not in pasted.rows
    assert (pasted.asked, len(pasted.rows)) == (10, 9)


def test_removal_leaves_no_bright_pixel_and_its_control_leaves_all(world):
    sheets, _, _, _ = world
    removed = remove_stains(sheets, np.array([20, 24, 28]), PARAMETERS, seed=0)
    assert list(removed.rows) == [20, 24, 28]
    bright = removed.before > 200
    assert bright.any(axis=(1, 2, 3)).all()
    assert not (removed.treated > 200).any()
    np.testing.assert_array_equal(removed.control[bright], removed.before[bright])
    assert (removed.control != removed.before).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(removed.control[0, :, :, :BLACK], removed.before[0, :, :, :BLACK])


def test_removal_skips_sheets_without_a_stain(world):
    removed = remove_stains(world[0], np.array([21, 22]), PARAMETERS, seed=0)
    assert len(removed.rows) == 0
    assert removed.asked == 2
    assert removed.treated.shape == (0, 1, 64, 160)


@pytest.mark.parametrize(("outputs", "n_channels"), [(2, 1), (5, 3)])
def test_network_that_reads_stains_is_moved_by_them_and_not_by_plain_steel(outputs, n_channels):
    result, table, changes = run(stained_world(n_channels=n_channels), StainReader(stain=2000, outputs=outputs))
    paste, plain, difference = result["paste"], result["plain_patch"], result["difference"]
    assert (paste["n"], paste["n_predicted_defect"], paste["flip_rate"]) == (10, 10, 1.0)
    assert paste["p_value"] == pytest.approx(2**-10)
    assert paste["shift_low"] > 0.5
    assert (plain["median_shift"], plain["flip_rate"], plain["p_value"]) == (0, 0, 1)
    assert difference["p_value"] == pytest.approx(2**-10)
    assert difference["low"] > 0.5
    assert difference["log_odds_low"] > 1
    assert result["defect_free"]["paste"]["n"] == 5
    assert result["removal"]["shift_high"] < -0.5
    assert result["removal"]["p_value"] == pytest.approx(2**-5)
    assert result["removal_control"]["median_shift"] == 0
    assert result["removal_difference"]["high"] < -0.5
    assert result["stains"]["origin"] == "cut out"
    json.dumps(result, allow_nan=False)
    assert table["group"].value_counts().to_dict() == {"defective": 10, "defect_free": 5, "stained": 5}
    assert list(changes) == ["defective", "defect_free", "stained"]


def test_network_blind_to_stains_is_not_moved(world):
    result, _, _ = run(world, StainReader(stain=0, defect=50))
    assert result["paste"]["median_shift"] == 0
    assert result["paste"]["p_value"] == result["difference"]["p_value"] == result["removal"]["p_value"] == 1
    assert result["paste"]["flip_rate"] == 0


def test_network_that_takes_stains_for_defects_moves_the_other_way(world):
    result, _, _ = run(world, StainReader(stain=-2000))
    assert result["paste"]["shift_high"] < 0
    assert result["paste"]["p_value"] > 0.99
    assert result["removal"]["p_value"] > 0.99


def test_log_odds_tell_saturated_sheets_apart():
    pictures = np.full((2, 1, 32, 32), 250, np.uint8)
    pictures[1, :, :16] = 100
    said = no_defect(classifier(StainReader(stain=200)), pictures, batch_size=1, device="cpu")
    assert said["p_no_defect"].tolist() == [1.0, 1.0]
    assert said["log_odds"].tolist() == pytest.approx([199, 99])


def test_probabilities_are_those_of_softmax():
    pictures = np.full((1, 3, 32, 32), 100, np.uint8)
    said = no_defect(classifier(StainReader(stain=1, outputs=5)), pictures, batch_size=4, device="cpu")
    assert said["p_no_defect"][0] == pytest.approx(1 / (4 + math.e))
    assert said["predicted"].tolist() == [1]


def test_too_few_sheets_are_not_tested_and_the_reason_is_told(world):
    result, _, _ = run(world, StainReader(stain=2000), min_sheets=11)
    for part in ("paste", "plain_patch", "difference", "removal", "removal_control", "removal_difference"):
        assert result[part]["p_value"] is None, part
        assert "at least 11 are needed" in result[part]["reason"]
    assert result["paste"]["flip_rate"] is None
    assert result["paste"]["n"] == 10


def test_nothing_to_change_is_not_tested(world):
    sheets, masks, index, split = world
    result, table, _ = run((sheets, masks * 0, index, split), StainReader(stain=2000))
    assert result["paste"]["n"] == 0
    assert "10 more have no mask" in result["paste"]["reason"]
    assert (table["group"] != "defective").all()
    json.dumps(result, allow_nan=False)


def test_no_plain_steel_is_not_tested(world):
    sheets, masks, index, split = world
    material = replace(material_of(sheets, masks, index, split), plain=np.zeros(0, np.int64))
    assert len(paste_stains(sheets, masks, material.defective, material, seed=0).rows) == 0
