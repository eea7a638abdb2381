import numpy as np
import pandas as pd

from steel_xai.parameters import AuditedAttribute
from steel_xai.stain_audit import known_answer, remedy, study


def test_a_class_that_a_task_has_no_output_of_stands_for_its_defect():
    crack = AuditedAttribute(name="black edges", output="crack")
    assert study._output_of(crack, ["no defect", "pit", "crack"]) == 2
    assert study._output_of(crack, ["no defect", "defect"]) == 1


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
        stain_augmentation=0.5,
    ).set_index("state")
    assert table["n_defective"].tolist() == [4, 4]
    assert table["recall_plain"].tolist() == [0.75, 0.75]
    assert table["recall_stained"].tolist() == [0.25, 0.25]
    assert table["stain_augmentation"].tolist() == [0, 0.5]
    assert np.isfinite(table["auc"]).all()
