"""Explanations of errors, and what becomes of them where a network has nothing that GradCAM could be made of."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import tiny_network
from torch import nn

from steel_xai.classifier import Classifier
from steel_xai.errors import InputError
from steel_xai.interpretation.errors import examine_edge_hypothesis, explain_errors
from steel_xai.pipelines.interpretation import nodes
from steel_xai.report.sections.trust import errors as report_errors

WITHOUT_STAGES = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 40, 2))


@pytest.fixture
def predictions(fake_split):
    """Of sheets that are not for training; each third is wrong."""
    held_out = fake_split[fake_split["split"] != "train"][["row", "image_id", "split", "label"]]
    predicted = np.where(np.arange(len(held_out)) % 3 == 0, 1 - held_out["label"], held_out["label"])
    return held_out.assign(predicted=predicted, p_0=np.where(predicted, 0.1, 0.9), p_1=np.where(predicted, 0.9, 0.1))


def classifier_of(network) -> Any:
    torch.manual_seed(0)
    name_data = lambda source: source  # noqa: E731
    description: Any = SimpleNamespace(outputs=["no defect", "defect"], seed=0, name_data=name_data)
    return Classifier(network.eval(), description)


def examine(classifier, predictions, sheets):
    how: dict[str, Any] = {"raw_width": 160, "reach": 20.0, "layer": None, "n_samples": 100, "device": "cpu"}
    return examine_edge_hypothesis(classifier, predictions, sheets, **how)


def test_errors_are_explained_by_both_classes(predictions, fake_sheets):
    classifier = classifier_of(tiny_network(2, 0.0, (64, 40)))
    found = explain_errors(classifier, predictions, fake_sheets, per_group=2, layer=None, device="cpu")
    assert found.maps.shape == (len(found.errors), 2, 64, 40)
    assert found.note is None
    record = examine(classifier, predictions, fake_sheets)
    assert list(record["outputs"]) == ["defect"]
    assert record["note"] is None


def test_network_without_stages_has_errors_but_no_maps_and_says_why(predictions, fake_sheets):
    classifier = classifier_of(WITHOUT_STAGES)
    found = explain_errors(classifier, predictions, fake_sheets, per_group=2, layer=None, device="cpu")
    assert len(found.errors) == 4
    assert found.maps.shape == (4, 0, 64, 40)
    assert found.note == "Class activation maps need feature maps in the image's layout, and Sequential has none"
    record = examine(classifier, predictions, fake_sheets)
    assert (record["outputs"], record["note"], record["n"]) == ({}, found.note, 24)
    assert json.loads(json.dumps(record)) == record


def test_figures_of_a_network_without_stages_say_why_there_is_nothing_to_see(predictions, fake_sheets, fake_split):
    classifier = classifier_of(WITHOUT_STAGES)
    interpretation: Any = SimpleNamespace(
        methods=["lime"], options=SimpleNamespace(cam_layer=None), errors=SimpleNamespace(per_group=2)
    )
    training: Any = SimpleNamespace(device="cpu")
    masks = np.zeros((60, 64, 40), np.uint8)
    index = predictions[predictions["split"] == "test"].assign(name="lime", target=predictions["label"])
    errors, panels = nodes.analyse_errors(classifier, predictions, fake_sheets, masks, "fake", interpretation, training)
    evidence = nodes.plot_class_evidence(classifier, index, fake_sheets, masks, "fake", interpretation, training)
    assert len(errors) == 4
    for figure in (panels, evidence):
        assert [text.get_text() for text in figure.texts] == [
            "Class activation maps need feature maps in the image's layout, and Sequential has none",
            "data: fake",
        ]


def test_report_says_why_the_black_edge_was_not_looked_at(predictions, fake_sheets):
    record = examine(classifier_of(WITHOUT_STAGES), predictions, fake_sheets)
    study: Any = SimpleNamespace(table=lambda name: None, figure=lambda *_: [], record=lambda name: record)
    (paragraph,) = report_errors(study, "binary", "fake")
    assert "Sequential has none: whether it looks at the black edge was not measured." in str(paragraph)


def test_unknown_layer_is_still_an_error(predictions, fake_sheets):
    classifier = classifier_of(tiny_network(2, 0.0, (64, 40)))
    with pytest.raises(InputError, match="No layer 'nowhere'"):
        explain_errors(classifier, predictions, fake_sheets, per_group=2, layer="nowhere", device="cpu")
