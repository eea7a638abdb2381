from pathlib import Path

import pytest

from steel_xai.config import TaskConfigLoader, inherit_sections

CONF = Path(__file__).parents[2] / "conf"


def load(key, env="local", runtime_params=None):
    loader = TaskConfigLoader(
        str(CONF),
        base_env="base",
        env=env,
        runtime_params=runtime_params,
        merge_strategy={"parameters": "soft", "globals": "soft"},
    )
    return loader[key]


def test_task_inherits_shared_sections_and_keeps_its_own_keys():
    parameters = {"training": {"epochs": 3, "noise": 0.1}, "binary": {"training": {"noise": 0.0}}}
    assert inherit_sections(parameters)["binary"]["training"] == {"epochs": 3, "noise": 0.0}


def test_shared_section_is_not_changed_by_a_task():
    parameters = {"training": {"epochs": 3}, "binary": {"training": {"epochs": 5}}}
    assert inherit_sections(parameters)["training"] == {"epochs": 3}


def test_runtime_parameter_of_shared_section_reaches_the_task():
    assert load("parameters", runtime_params={"training": {"epochs": 77}})["binary"]["training"]["epochs"] == 77


def test_runtime_parameter_of_one_task_keeps_the_other_keys():
    parameters = load("parameters", runtime_params={"binary": {"training": {"epochs": 77}}})
    assert parameters["binary"]["training"]["epochs"] == 77
    assert parameters["binary"]["training"]["optimizer"] == parameters["training"]["optimizer"]
    assert parameters["training"]["epochs"] != 77


def test_test_environment_shrinks_but_keeps_sibling_keys():
    base, tiny = load("parameters"), load("parameters", env="test")
    assert tiny["sample"]["n_sheets"] < base["sample"]["n_sheets"]
    assert tiny["sample"].keys() == base["sample"].keys()


def test_test_environment_never_writes_where_a_user_looks():
    assert load("globals", env="test")["data_root"] != load("globals")["data_root"]


@pytest.mark.parametrize("entry", ["sheets", "masks", "sheet_index", "quarantine", "{task}.split", "{task}.model"])
def test_results_are_versioned(entry):
    assert load("catalog")[entry]["versioned"] is True
