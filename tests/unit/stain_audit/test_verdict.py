import json
from typing import Any

import numpy as np
import pytest

from steel_xai.stain_audit.attribution_share import measure_attribution_share
from steel_xai.stain_audit.observational import compare_confidence
from steel_xai.stain_audit.verdict import judge


def groups(shift, n=20):
    """Two groups of log-odds, one shifted against the other."""
    values = np.random.default_rng(0).normal(size=2 * n)
    return compare_confidence(values[:n] + shift, values[n:], min_group=15, n_samples=200, seed=0)


HIGHER, SAME, LOWER, FEW = groups(3), groups(0), groups(-3), groups(3, n=10)


def pasted(median=0.4, low=0.3, high=0.5, p_value=1e-6, flip_rate=0.6):
    interval = {"flip_low": None, "flip_high": None} if flip_rate is None else {"flip_low": 0.4, "flip_high": 0.8}
    shift = {"n": 30, "median_shift": median, "shift_low": low, "shift_high": high, "p_value": p_value}
    return {**shift, "flip_rate": flip_rate, **interval}


PLAIN = pasted(median=0.01, low=-0.01, high=0.02, p_value=0.3, flip_rate=0.02)
NIL = pasted(median=0, low=-1e-6, high=1e-6, p_value=0.5, flip_rate=0)
DIFFERENCE = {"n": 30, "median": 0.39, "low": 0.28, "high": 0.5, "p_value": 1e-6}
REMOVAL = pasted(median=-0.3, low=-0.4, high=-0.2)
CAUSED = {"paste": pasted(), "plain_patch": PLAIN, "difference": DIFFERENCE, "removal": REMOVAL}
NOTHING_DONE = {
    part: {"n": 2} | dict.fromkeys(("median", "median_shift", "low", "high", "shift_low", "shift_high", "p_value"))
    for part in CAUSED
}
NOT_CAUSED = CAUSED | {"paste": pasted(p_value=0.4, low=-0.1)}


def decide(observational=HIGHER, matched=HIGHER, interventional=None, attribution=None, **options):
    rules: dict[str, Any] = {
        "level": 0.01,
        "min_effect": 0.3,
        "min_shift": 0.05,
        "name": "white stains",
        "output": "no defect",
    }
    return judge(
        observational=observational,
        matched=matched,
        attribution=attribution,
        interventional=interventional,
        **rules | options,
    )


@pytest.mark.parametrize(
    ("observational", "matched", "interventional", "verdict"),
    [
        (HIGHER, HIGHER, CAUSED, "shortcut"),
        (HIGHER, SAME, CAUSED, "shortcut"),
        (HIGHER, FEW, CAUSED, "shortcut"),
        (HIGHER, HIGHER, NOT_CAUSED, "no evidence"),
        (SAME, SAME, CAUSED, "no evidence"),
        (LOWER, LOWER, CAUSED, "no evidence"),
        (LOWER, LOWER, NOT_CAUSED, "no evidence"),
        (FEW, FEW, CAUSED, "not testable"),
        (FEW, FEW, NOT_CAUSED, "not testable"),
        (HIGHER, HIGHER, None, "shortcut"),
        (HIGHER, SAME, None, "no evidence"),
        (HIGHER, FEW, None, "not testable"),
        (SAME, FEW, None, "no evidence"),
        (SAME, HIGHER, None, "no evidence"),
        (LOWER, LOWER, None, "no evidence"),
        (FEW, FEW, None, "not testable"),
        (HIGHER, HIGHER, NOTHING_DONE, "shortcut"),
        (HIGHER, SAME, NOTHING_DONE, "no evidence"),
        (FEW, FEW, NOTHING_DONE, "not testable"),
    ],
)
def test_verdict_follows_the_rules(observational, matched, interventional, verdict):
    found = decide(observational, matched, interventional)
    assert found["verdict"] == verdict
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "change",
    [
        {"paste": pasted(p_value=0.02)},
        {"paste": pasted(low=-0.001)},
        {"paste": pasted(median=-0.4, low=-0.5, high=-0.3)},
        {"difference": DIFFERENCE | {"low": -0.001}},
        {"difference": DIFFERENCE | {"p_value": 0.02}},
        {"plain_patch": PLAIN | {"median_shift": 0.21}},
        {"paste": pasted(median=8e-5, low=1e-5, high=2e-4, p_value=0.003, flip_rate=0), "plain_patch": NIL},
        {"paste": pasted(median=0.04, low=0.03, high=0.06, flip_rate=None)},
    ],
)
def test_stain_must_shift_significantly_and_clearly_more_than_plain_steel(change):
    found = decide(interventional=CAUSED | change)
    assert found["verdict"] == "no evidence"
    assert found["tests"]["paste"]["holds"] is False
    assert "pasting them does not raise it clearly, or not more than plain steel does" in found["sentence"]


def test_small_median_shift_counts_where_the_stain_clearly_flips_more_than_plain_steel():
    """Half of the sheets may be out of a stain's reach, the other half flip."""
    paste = pasted(median=0.01, low=0.001, high=0.3)
    plain = PLAIN | {"median_shift": 0.001, "flip_low": 0.0, "flip_high": 0.1}
    assert decide(interventional=CAUSED | {"paste": paste, "plain_patch": plain})["verdict"] == "shortcut"
    overlapping = plain | {"flip_high": 0.5}
    assert decide(interventional=CAUSED | {"paste": paste, "plain_patch": overlapping})["verdict"] == "no evidence"


def test_intervention_is_told_where_groups_are_too_small_and_does_not_decide():
    assert decide(FEW, FEW, CAUSED)["sentence"] == (
        'Not testable whether the model takes white stains for a sign of "no defect": too few defect-free sheets have '
        "them, or have not, to be compared; pasting them on defective sheets moves these towards "
        '"no defect", which alone decides nothing.'
    )
    assert "does not move these" in decide(FEW, FEW, NOT_CAUSED)["sentence"]


def test_both_level_and_effect_are_asked_of_the_groups():
    assert decide(interventional=CAUSED, level=1e-12)["verdict"] == "no evidence"
    slight = groups(0.7, n=200)
    assert slight["p_value"] < 1e-4
    assert decide(slight, slight, min_effect=0.6)["verdict"] == "no evidence"
    assert decide(slight, slight, min_effect=0.2)["verdict"] == "shortcut"


def test_shortcut_by_association_says_that_it_is_one():
    assert decide()["sentence"] == (
        'The model takes white stains for a sign of "no defect": sheets with them have the higher P, also at like '
        "brightness (an association, not an intervention)."
    )
    assert "association" not in decide(interventional=CAUSED)["sentence"]


def test_difference_in_the_other_direction_is_told():
    assert "points the other way" in decide(LOWER, LOWER)["sentence"]
    assert (
        'P("no defect") of 20 defect-free sheets with white stains is lower than that of 20 without'
        in decide(LOWER)["tests"]["observational"]["sentence"]
    )


def test_tests_that_disagree_are_told():
    assert "the tests disagree" in decide(SAME, SAME, CAUSED)["sentence"]


def test_every_test_has_a_sentence_with_its_numbers():
    stains = np.zeros((20, 4, 4), dtype=bool)
    stains[:, 0, 0] = True
    attribution = measure_attribution_share(1 + 9.0 * stains, stains, min_group=5)
    found = decide(interventional=CAUSED, attribution=attribution)
    assert list(found["tests"]) == ["observational", "matched", "paste", "removal", "attribution"]
    assert all(test["holds"] for test in found["tests"].values())
    told = {name: test["sentence"] for name, test in found["tests"].items()}
    assert told["paste"] == (
        'Pasting white stains on 30 defective sheets shifts their P("no defect") by +0.400 [+0.300, +0.500] (p = '
        "1e-06) and flips 60% [40%, 80%] of those found defective; plain steel of the same shape shifts it by +0.010 "
        "[-0.010, +0.020] and flips 2% [40%, 80%]; paired difference +0.390 [+0.280, +0.500] (p = 1e-06)."
    )
    assert told["removal"].startswith('Inpainting white stains on 30 sheets shifts their P("no defect") by -0.3')
    assert '40.0% of the relevance for "no defect" lies on white stains, which take 6.25%' in told["attribution"]


def test_tests_without_an_answer_say_why():
    undefined, few = decide(), decide(FEW, FEW, NOTHING_DONE)
    assert undefined["tests"]["paste"] == {
        "holds": None,
        "sentence": "Not tested: no way to paste it is defined.",
    }
    assert (
        few["tests"]["paste"] == few["tests"]["removal"] == {"holds": None, "sentence": "Not testable: too few sheets."}
    )
    assert few["tests"]["observational"]["sentence"] == (
        "Not testable: 10 sheets with and 10 without are too few: 15 of each are needed."
    )
    assert undefined["tests"]["attribution"]["holds"] is None


def test_removal_and_attribution_do_not_decide():
    unlike = CAUSED | {"removal": pasted(p_value=0.9, low=-0.1)}
    found = decide(interventional=unlike)
    assert found["tests"]["removal"]["holds"] is False
    assert found["verdict"] == "shortcut"


def test_sheets_none_of_which_could_flip_are_told():
    found = decide(interventional=CAUSED | {"paste": pasted(flip_rate=None)})
    assert "flips none of those found defective" in found["tests"]["paste"]["sentence"]
