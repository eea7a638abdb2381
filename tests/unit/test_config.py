import re
import shutil
from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from steel_xai.config import GLOBALS, TaskConfigLoader, inherit_sections
from steel_xai.errors import InputError

CONF = Path(__file__).parents[2] / "conf"


def make_loader(env="local", runtime_params=None, conf=CONF):
    return TaskConfigLoader(
        str(conf),
        base_env="base",
        default_run_env="local",
        env=env,
        runtime_params=runtime_params,
        merge_strategy={"parameters": "soft", "globals": "soft"},
    )


def load(key, env="local", runtime_params=None):
    return make_loader(env, runtime_params)[key]


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


def test_variant_inherits_its_task_and_the_task_the_shared_section():
    variant = {"training": {"dropout": 0.3}, "slow_on_cpu": True}
    parameters = {
        "training": {"epochs": 3, "dropout": 0.1},
        "splits": {"labels": "any_defect"},
        "comparison": {"run": "auto"},
        "multi": {"training": {"epochs": 5}, "comparison": {"variants": {"cnn": variant, "plain": None}}},
    }
    assert inherit_sections(parameters)["multi"]["comparison"] == {
        "run": "auto",
        "variants": {
            "cnn": {
                "training": {"epochs": 5, "dropout": 0.3},
                "splits": {"labels": "any_defect"},
                "slow_on_cpu": True,
            },
            "plain": {"training": {"epochs": 5, "dropout": 0.1}, "splits": {"labels": "any_defect"}},
        },
    }


def test_runtime_parameter_of_the_shared_section_reaches_every_variant():
    parameters = load("parameters", runtime_params={"training": {"batch_size": 77}})
    sizes = [
        variant["training"]["batch_size"]
        for task in ("binary", "multi")
        for variant in parameters[task]["comparison"]["variants"].values()
    ]
    assert len(sizes) > 10
    assert set(sizes) == {77}


def test_task_blocks_state_only_what_differs_from_the_shared_sections():
    raw = OmegaConfigLoader(str(CONF), base_env="base", default_run_env="local", merge_strategy={"parameters": "soft"})
    parameters = raw["parameters"]
    for task in ("binary", "multi"):
        for section in ("splits", "training", "evaluation"):
            shared = parameters[section]
            for key, value in parameters[task].get(section, {}).items():
                assert key in shared
                assert value != shared[key], f"{task}.{section}.{key} repeats the shared value"


def test_files_are_read_once_and_nobody_can_change_what_the_next_one_gets(monkeypatch):
    loader = make_loader()
    loader["parameters"]["training"]["epochs"] = 1234
    monkeypatch.setattr(OmegaConfigLoader, "_read_raw_config", None)
    assert loader["parameters"]["training"]["epochs"] != 1234


def test_a_value_set_by_hand_counts_though_the_files_were_read():
    loader = make_loader()
    assert loader["globals"]["data_root"] == "data"
    loader["globals"] = {**loader["globals"], "data_root": "elsewhere", "raw_root": None}
    assert loader["globals"]["raw_folder"] == "elsewhere/01_raw/sample"


@pytest.mark.parametrize(
    ("name", "hint"), [("data_sourc", "did you mean 'data_source'"), ("owner", "there are data_source, data_root")]
)
def test_unknown_global_is_named_with_its_file_and_the_nearest_name(tmp_path, name, hint):
    shutil.copytree(CONF / "base", tmp_path / "base")
    path = tmp_path / "local" / "globals.yml"
    path.parent.mkdir()
    path.write_text(f"{name}: severstal\n")
    with pytest.raises(InputError, match=f"'{name}' in {re.escape(str(path))} is no global of this project, {hint}"):
        TaskConfigLoader(str(tmp_path), base_env="base", default_run_env="local")


def test_globals_that_the_configuration_states_or_reads_are_known():
    stated = {name for path in CONF.rglob("globals.yml") for name in yaml.safe_load(path.read_text()) or ()}
    read = {name for path in CONF.rglob("*.yml") for name in re.findall(r"\$\{globals:(\w+)", path.read_text())}
    assert read - {"raw_folder"} | stated <= set(GLOBALS)  # raw_folder is worked out by the loader


@pytest.fixture
def conf(tmp_path):
    """The project's configuration, whose conf/local states data of the user's own."""
    shutil.copytree(CONF, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("local"))
    state(tmp_path, "local", "globals", data_source="mill", raw_root="/mnt/steel")
    return tmp_path


def state(conf, env, kind, **stated):
    path = conf / env / f"{kind}.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(stated))


def test_run_on_a_cluster_is_refused_while_it_would_not_read_the_users_own_globals(conf):
    with pytest.raises(InputError, match="globals that a run with --env=cluster would not read: data_source, raw_root"):
        make_loader("cluster", conf=conf)
    state(conf, "cluster", "globals", data_source="mill")
    path = re.escape(str(conf / "cluster" / "globals.yml"))
    with pytest.raises(InputError, match=rf"not read: raw_root\. .*{path}.*--params=compute\.backend=dask"):
        make_loader("cluster", conf=conf)


@pytest.mark.parametrize(
    ("kind", "stated", "name"),
    [
        ("parameters", {"training": {"epochs": 3}}, "training.epochs"),
        ("catalog", {"raw_sheets": {"filepath": "/mnt/sheets"}}, "raw_sheets.filepath"),
    ],
)
def test_run_on_a_cluster_is_refused_while_it_would_not_read_the_users_own(conf, kind, stated, name):
    shutil.rmtree(conf / "local")
    state(conf, "local", kind, **stated)
    with pytest.raises(InputError, match=rf"states {kind} that .* would not read: {name}\."):
        make_loader("cluster", conf=conf)[kind]


def test_run_on_a_cluster_reads_the_data_that_its_environment_states(conf):
    state(conf, "cluster", "globals", data_source="mill", raw_root="s3://bucket/steel")
    loader = make_loader("cluster", conf=conf)
    assert loader["globals"]["raw_folder"] == "s3://bucket/steel/mill"
    assert loader["catalog"]["raw_sheets"]["filepath"] == "s3://bucket/steel/mill/train_images"
    assert loader["parameters"]["data_source"] == "mill"
    assert loader["parameters"]["compute"]["backend"] == "dask"


def test_run_on_a_cluster_by_parameters_reads_the_data_that_the_user_states(conf):
    by_hand = {"compute": {"backend": "dask", "scheduler": "tcp://host:8786"}}
    loader = make_loader(env=None, runtime_params=by_hand, conf=conf)
    assert loader["catalog"]["raw_sheets"]["filepath"] == "/mnt/steel/mill/train_images"
    assert loader["parameters"]["compute"]["scheduler"] == "tcp://host:8786"


def test_run_on_a_cluster_needs_no_configuration_of_the_users_own(conf):
    shutil.rmtree(conf / "local")
    assert make_loader("cluster", conf=conf)["parameters"]["data_source"] == "sample"


def test_tiny_run_is_of_the_sample_whatever_the_user_looks_at(conf):
    assert make_loader("test", conf=conf)["parameters"]["data_source"] == "sample"
