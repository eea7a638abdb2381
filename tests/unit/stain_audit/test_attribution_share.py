import json

import numpy as np
import pytest

from steel_xai.stain_audit.attribution_share import measure_attribution_share


def stripes(n, columns):
    """Stains on the first columns of 10x10 sheets."""
    stains = np.zeros((n, 10, 10), dtype=bool)
    stains[:, :, :columns] = True
    return stains


def test_shares_and_ratio_are_those_counted_by_hand():
    maps = np.zeros((6, 10, 10), dtype=np.float32)
    maps[:, 0, 0], maps[:, 0, 9] = 3, 1  # three quarters of what speaks for it on the stain
    maps[:, 1, 0], maps[:, 1, 9] = -1, -4  # a fifth of what speaks against it
    found = measure_attribution_share(maps, stripes(6, 1), min_group=5)
    assert found["n"] == 6
    shares = [found[key] for key in ("relevance_share", "against_share", "area_share", "ratio")]
    assert shares == pytest.approx([0.75, 0.2, 0.1, 7.5])
    assert found["ratio_quartiles"] == pytest.approx([7.5, 7.5])
    assert found["excess"]["estimate"] == pytest.approx(0.65)
    assert found["net"]["estimate"] == pytest.approx(0.55)
    # All six differences point one way: one of 2^6 signs.
    assert found["p_value"] == pytest.approx(1 / 64, rel=0.5)


def test_even_relevance_is_no_evidence():
    found = measure_attribution_share(np.ones((20, 10, 10), np.float32), stripes(20, 3), min_group=5)
    assert found["ratio"] == pytest.approx(1)
    assert found["excess"]["estimate"] == pytest.approx(0, abs=1e-12)
    assert found["p_value"] > 0.05


def test_less_relevance_than_area_is_no_evidence_either():
    maps = np.random.default_rng(0).random((20, 10, 10)).astype(np.float32)
    maps[:, :, :3] *= 0.1
    found = measure_attribution_share(maps, stripes(20, 3), min_group=5)
    assert found["ratio"] < 0.5
    assert found["p_value"] > 0.99


def test_stains_that_speak_against_have_a_negative_net():
    maps = np.random.default_rng(0).random((20, 10, 10)).astype(np.float32)
    maps[:, :, :3] *= -1
    found = measure_attribution_share(maps, stripes(20, 3), min_group=5)
    assert (found["relevance_share"], found["against_share"]) == (0, 1)
    assert found["net"]["high"] < 0


def test_sheets_without_a_stain_and_maps_that_say_nothing_are_left_out():
    maps = np.ones((8, 10, 10), np.float32)
    maps[0] = 0
    maps[1] = -1
    stains = stripes(8, 1)
    stains[2] = False
    found = measure_attribution_share(maps, stains, min_group=5)
    assert (found["n"], found["n_left_out"], found["testable"]) == (5, 3, True)


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_sheets_are_not_tested(n):
    found = measure_attribution_share(np.ones((n, 10, 10), np.float32), stripes(n, 1), min_group=5)
    assert not found["testable"]
    assert found["note"] == f"{n} sheets with stains that can be found are too few: 5 are needed"
    tested = ("p_value", "excess", "relevance_share", "ratio", "net")
    assert [found[key] for key in tested] == [None] * len(tested)
    json.dumps(found, allow_nan=False)


def test_record_can_be_said_in_json():
    maps = np.random.default_rng(0).normal(size=(9, 10, 10)).astype(np.float32)
    json.dumps(measure_attribution_share(maps, stripes(9, 2), min_group=5), allow_nan=False)
