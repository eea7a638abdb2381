import pandas as pd

from steel_xai.evaluation.attribution_table import best_on_validation


def test_best_method_is_that_of_validation_sheets_among_those_that_explain_as_many():
    table = pd.DataFrame(
        {
            "method": ["gradcam", "deeplift", "lime", "local_contrast"],
            "kind": ["method", "method", "method", "control"],
            "dice": [0.3, 0.6, 0.5, 0.7],
            "validation_dice": [0.4, 0.3, 0.5, 0.6],
            "n_validation": [16, 16, 6, 16],
        }
    )
    assert best_on_validation(table)["method"] == "gradcam"
