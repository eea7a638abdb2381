from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.errors import InputError
from steel_xai.parameters import AuditedAttribute, StainAuditParameters
from steel_xai.plots import attribute_distributions
from steel_xai.stain_audit import known_answer, remedy, study
from steel_xai.stain_audit.interventions import no_defect

from .stained_world import HEIGHT, PARAMETERS, WIDTH, StainReader, stained_world

CLASSES = ["pit", "crack"]
YAML = Path(__file__).parents[3] / "conf" / "base" / "parameters" / "stain_audit.yml"


@pytest.fixture
def parameters(monkeypatch):
    """The project's own; networks without layers have no maps, which do not decide."""
    monkeypatch.setattr(
        study,
        "attribute",
        lambda _, images, __, methods, **options: {methods[0]: np.ones((len(images), HEIGHT, WIDTH))},
    )
    values = yaml.safe_load(YAML.read_text())["stain_audit"]
    return StainAuditParameters.model_validate({**values, "bootstrap_samples": 200, "attributes": {}})


def audited(network, parameters):
    """Audit a network that needs no training on a world whose stains are known."""
    sheets, masks, index, split = stained_world(n=240)
    model = Classifier(
        network, ClassifierDescription.model_construct(seed=0, outputs=["no defect", "defect"], parameters={})
    )
    ids = [f"{row}.jpg" for row in index["row"]]
    index, split = (table.assign(image_id=ids) for table in (index, split))
    found = study.intervene_on_stains(model, sheets, masks, index, split, parameters, PARAMETERS, device="cpu")
    said = no_defect(model, sheets, batch_size=32, device="cpu")
    predictions = split.assign(
        predicted=said["predicted"], p_0=said["p_no_defect"], p_1=1 - said["p_no_defect"], copy=0
    )
    record, table = study.audit_stains(
        model,
        predictions,
        sheets,
        index,
        found.record,
        parameters,
        PARAMETERS,
        device="cpu",
        data_source="mill",
    )
    return record, table


def test_network_that_reads_stains_is_found_out_from_raw_pixels_to_verdict(parameters):
    record, _ = audited(StainReader(stain=400), parameters)
    assert record["verdict"] == "shortcut"
    assert record["tests"]["observational"]["holds"]
    assert record["tests"]["paste"]["holds"]
    assert record["paste"]["median_shift"] > 0.3
    assert abs(record["plain_patch"]["median_shift"]) < 0.01


def test_network_that_sees_defects_alone_is_not_accused(parameters):
    record, _ = audited(StainReader(stain=0, defect=400), parameters)
    assert record["verdict"] == "no evidence"
    assert record["tests"]["paste"]["holds"] is False


def test_network_that_says_the_same_of_every_sheet_is_not_accused_and_can_be_drawn(parameters):
    record, table = audited(StainReader(stain=0), parameters)
    assert record["verdict"] == "no evidence"
    attribute_distributions(table, record, data_source="mill").savefig(BytesIO(), format="png")


def test_a_class_that_a_task_has_no_output_of_stands_for_its_defect():
    crack = AuditedAttribute(name="black edges", output="crack")
    assert study.output_of("attributes.black_edge", crack, ["no defect", "pit", "crack"], CLASSES) == 2
    assert study.output_of("attributes.black_edge", crack, ["no defect", "defect"], CLASSES) == 1


@pytest.mark.parametrize("outputs", [["no defect", "pit", "crack"], ["no defect", "defect"]])
def test_output_that_no_model_of_these_data_has_is_refused_by_name(outputs):
    misspelt = AuditedAttribute(name="black edges", output="no defct")
    with pytest.raises(InputError, match=r"stain_audit\.listed\.output is 'no defct'.*pit, crack"):
        study.output_of("listed", misspelt, outputs, CLASSES)


@pytest.mark.parametrize(("most", "least"), [("per_group", "min_group"), ("max_sheets", "min_sheets")])
def test_limits_that_leave_nothing_to_test_are_refused(parameters, most, least):
    with pytest.raises(ValueError, match=f"{most} is below {least}"):
        StainAuditParameters.model_validate(parameters.model_dump() | {most: 6, least: 7})


def test_rates_count_shortcuts_of_both_conditions():
    table = pd.DataFrame(
        {
            "condition": ["planted", "planted", "planted", "equal", "equal"],
            "verdict": ["shortcut", "no evidence", "shortcut", "no evidence", "shortcut"],
        }
    )
    assert known_answer.rates(table) == ("found 2 of 3 planted shortcuts, 1 false alarms in 2 samples without one")


def test_remedy_compares_recall_with_and_without_a_stain():
    shifts = pd.DataFrame(
        {
            "group": ["defective"] * 4 + ["stained"],
            "predicted_before": [1, 1, 1, 0, 0],
            "predicted_treated": [0, 1, 0, 0, 0],
        }
    )
    found = study.Interventions({}, shifts, {})
    part = {"median_shift": 0.2, "shift_low": 0.1, "shift_high": 0.3, "flip_rate": 0.5}
    record = {
        "paste": part,
        "plain_patch": part,
        "removal": part,
        "effect_size": 0.9,
        "p_value": 1e-6,
        "verdict": "shortcut",
    }
    table = remedy.remedy_table(
        {"before": {"auc": 0.9}, "after": {"auc": 0.8}},
        {"before": record, "after": record},
        {"before": found, "after": found},
        {"before": 0.1, "after": 0.5},
    ).set_index("state")
    assert table["n_defective"].tolist() == [4, 4]
    assert table["recall_plain"].tolist() == [0.75, 0.75]
    assert table["recall_stained"].tolist() == [0.25, 0.25]
    assert table["stain_augmentation"].tolist() == [0.1, 0.5]
    assert np.isfinite(table["auc"]).all()
