import math

import numpy as np
import pytest

from steel_xai.stain_audit.dose import COLUMNS, measure_dose_response
from steel_xai.stain_audit.material import collect_material

from .stained_world import PARAMETERS, StainReader, classifier, stained_world


def measure(network, **changes):
    sheets, masks, index, split = stained_world()
    material = collect_material(sheets, masks, index, split, white_stains=PARAMETERS, max_sheets=50, seed=0)
    options = {"max_stains": 3, "area_levels": 2, "max_sheets": 8, "min_sheets": 5, "n_samples": 100, **changes}
    return measure_dose_response(
        classifier(network), sheets, masks, material, **options, batch_size=8, device="cpu", seed=0
    )


def test_more_stain_moves_a_network_that_reads_stains_further():
    table = measure(StainReader(stain=100))
    assert list(table.columns) == COLUMNS
    for series, n_doses in (("number", 3), ("area", 2)):
        stain = table[(table["series"] == series) & (table["kind"] == "stain")]
        assert len(stain) == n_doses
        assert (np.diff(stain["area_share"]) > 0).all()
        assert (np.diff(stain["median_shift"]) > 0).all()
        assert ((stain["low"] <= stain["median_shift"]) & (stain["median_shift"] <= stain["high"])).all()
    assert list(table.loc[(table["series"] == "number") & (table["kind"] == "stain"), "n_stains"]) == [1, 2, 3]


def test_plain_patches_of_the_same_area_move_nothing():
    table = measure(StainReader(stain=100))
    plain = table[table["kind"] == "plain patch"]
    assert (plain["median_shift"] == 0).all()
    assert (plain["p_value"] == 1).all()
    assert plain["area_share"].tolist() == table.loc[table["kind"] == "stain", "area_share"].tolist()


def test_all_doses_are_of_the_same_number_of_sheets():
    assert measure(StainReader(stain=100))["n"].nunique() == 1


def test_one_stain_shifts_by_what_its_area_explains():
    table = measure(StainReader(stain=100), max_stains=1, area_levels=1)
    stain = table[table["kind"] == "stain"].iloc[0]
    # Bright pixels reach a little beyond those that are covered by half.
    expected = 1 / (1 + np.exp(1 - 100 * stain["area_share"])) - 1 / (1 + math.e)
    assert stain["median_shift"] == pytest.approx(expected, rel=0.3)


def test_too_few_sheets_give_an_empty_table():
    table = measure(StainReader(stain=100), min_sheets=9)
    assert table.empty
    assert list(table.columns) == COLUMNS
