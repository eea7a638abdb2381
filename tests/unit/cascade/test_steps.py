from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.unit.cascade.conftest import CLASS_NAMES

from steel_xai.cascade.steps import (
    Steps,
    check_lineage,
    class_probabilities,
    defect_probability,
    mask_probabilities,
)
from steel_xai.classifier import Classifier
from steel_xai.errors import InputError

HOW: dict[str, Any] = {"batch_size": 3, "device": "cpu"}


def test_each_step_says_what_its_model_finds(steps, sheets, masks):
    rows = np.array([0, 1, 2, 3, 1])
    assert (defect_probability(steps.gate, sheets, rows, **HOW) > 0.5).tolist() == [False, True, True, True, True]
    found = class_probabilities(steps.labels, sheets, rows, CLASS_NAMES, **HOW) > 0.5
    assert found.tolist() == [[False, False], [True, False], [False, True], [True, True], [True, False]]
    dark = np.concatenate(list(mask_probabilities(steps.unets[2], 2, sheets, rows, **HOW))) > 0.5
    assert np.array_equal(dark, masks[rows] == 2)


def test_outputs_are_found_by_name_in_any_order_and_among_others(steps, sheets, describe, split):
    other = steps.labels.description.model_copy(update={"outputs": CLASS_NAMES[::-1]})
    turned = class_probabilities(Classifier(steps.labels.network, other), sheets, np.array([1]), CLASS_NAMES, **HOW)
    assert (turned > 0.5).tolist() == [[False, True]]


def test_no_sheets_give_no_probabilities(steps, sheets):
    nobody = np.zeros(0, int)
    assert class_probabilities(steps.labels, sheets, nobody, CLASS_NAMES, **HOW).shape == (0, 2)
    assert defect_probability(steps.gate, sheets, nobody, **HOW).shape == (0,)


def test_models_without_the_outputs_of_their_step_are_refused_by_name(steps):
    with pytest.raises(InputError, match=r"multilabel\.model.*lacks bright, dark"):
        Steps(steps.gate, steps.gate, steps.unets, CLASS_NAMES)
    with pytest.raises(InputError, match=r"binary\.model.*no defect"):
        Steps(steps.labels, steps.labels, steps.unets, CLASS_NAMES)
    with pytest.raises(InputError, match=r"no network of 'dark' \(class 2\)"):
        Steps(steps.gate, steps.labels, {1: steps.unets[1]}, CLASS_NAMES)
    with pytest.raises(InputError, match=r"class 2 finds classes \[1\]"):
        Steps(steps.gate, steps.labels, {1: steps.unets[1], 2: steps.unets[1]}, CLASS_NAMES)


def test_models_of_other_data_are_refused(steps, sheets, masks, gate_split, split):
    check_lineage(steps, sheets, masks, gate_split, split, "toy")
    moved = split.assign(split=split["split"].to_numpy()[::-1])
    with pytest.raises(InputError, match="split differ"):
        check_lineage(steps, sheets, masks, moved, split, "toy")
    with pytest.raises(InputError, match="split differ"):
        check_lineage(steps, sheets, masks, gate_split, moved, "toy")
    with pytest.raises(InputError, match="other masks"):
        check_lineage(steps, sheets, masks * 0, gate_split, split, "toy")


def test_models_of_another_source_are_taken_for_what_they_are(steps, sheets, masks, gate_split, split):
    elsewhere = {"data_source": "other", "split_fingerprint": "of other sheets"}
    gate = replace(steps.gate, description=steps.gate.description.model_copy(update=elsewhere))
    check_lineage(replace(steps, gate=gate), sheets, masks, gate_split, split, "toy")
