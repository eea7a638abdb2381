import pytest

from steel_xai.config import inherit_sections
from steel_xai.errors import InputError
from steel_xai.parameters import Parameters, validate

from .test_config import load
from .test_parameters import changed


def test_multi_label_task_inherits_what_is_trained_and_evaluated_but_no_comparison():
    shared = {"training": {"epochs": 3, "noise": 0.1}, "evaluation": {"folds": 2}, "comparison": {"run": "auto"}}
    block = inherit_sections({**shared, "multilabel": {"training": {"noise": 0}}})["multilabel"]
    assert block == {"training": {"epochs": 3, "noise": 0}, "evaluation": {"folds": 2}}


def test_runtime_parameter_of_the_shared_section_reaches_the_multi_label_task():
    parameters = load("parameters", runtime_params={"training": {"weight_decay": 0.5, "patches": {"count": 6}}})
    assert parameters["multilabel"]["training"]["weight_decay"] == 0.5
    assert parameters["multilabel"]["training"]["patches"] is None  # only asked for by its own name


@pytest.mark.parametrize("task", ["binary", "multi"])
def test_bit_fields_are_for_the_multi_label_task_alone(task):
    with pytest.raises(InputError, match=f"'{task}'.*every_class is for the multi-label task alone"):
        validate(Parameters, changed(f"{task}.splits.labels", "every_class"))


def test_multi_label_task_has_no_other_labels_and_no_windows():
    with pytest.raises(InputError, match="the multi-label task has every_class"):
        validate(Parameters, changed("multilabel.splits.labels", "any_defect"))
    patches = {"count": 6, "size": [64, 64], "black_level": 16, "max_black": 0.5}
    with pytest.raises(InputError, match="windows have one label each"):
        validate(Parameters, changed("multilabel.training.patches", patches))
