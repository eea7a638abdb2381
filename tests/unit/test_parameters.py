import copy

import pytest

from steel_xai.errors import InputError
from steel_xai.parameters import Parameters, validate

from .test_config import load


def changed(path, value):
    parameters = copy.deepcopy(load("parameters"))
    section = parameters
    *parents, last = path.split(".")
    for name in parents:
        section = section[name]
    section[last] = value
    return parameters


def test_parameters_of_the_project_are_valid():
    assert validate(Parameters, load("parameters")).seed == 0


@pytest.mark.parametrize("env", ["local", "test"])
def test_every_environment_is_valid(env):
    validate(Parameters, load("parameters", env=env))


@pytest.mark.parametrize("path", ["trainning", "training.epoch", "binary.training.epoch", "sample.stain_rates"])
def test_misspelt_parameter_is_named(path):
    with pytest.raises(InputError, match=rf"'{path}' is no parameter"):
        validate(Parameters, changed(path, 1))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.epochs", 0),
        ("training.dropout", 1.0),
        ("training.optimizer", "adagrad"),
        ("training.learning_rate", -1e-3),
        ("sample.stain_rate.defective", 1.5),
        ("raw_size", [256, 0]),
        ("channels", 2),
        ("class_names", []),
        ("data_source", "../elsewhere"),
        ("sample.n_jobs", 0),
        ("data_processing.n_jobs", 0),
        ("seed", 2**32),
        ("sample.seed", 2**32),
        ("evaluation.baseline.inverse_regularisation", []),
        ("tensor_size", [31, 400]),
        ("tensor_size", [64, 31]),
        ("class_names", [str(k) + "a" for k in range(9)]),
        ("class_names", ["pit", "pit"]),
        ("class_names", ["pit", "pit "]),
        ("class_names", ["no defect"]),
        ("class_names", ["all"]),
        ("class_names", ["none"]),
        ("class_names", ["several"]),
        ("class_names", ["pit", "1"]),
        ("class_names", [" "]),
        ("training.architecture", "resnet19"),
        ("training.class_weights", "rare"),
        ("training.patches", {"count": 6, "size": [64, 16], "black_level": 16, "max_black": 0.5}),
        ("splits.augmentation", "flips"),
        ("splits.extra_copies", {"pit": -1}),
        ("splits.several_classes", "first"),
        ("evaluation.target_accuracy", 1.01),
        ("noise_robustness.levels", []),
    ],
)
def test_out_of_range_parameter_is_named_with_its_value(path, value):
    with pytest.raises(InputError, match=path) as refused:
        validate(Parameters, changed(path, value))
    assert "given:" in str(refused.value)


def test_fractions_that_do_not_add_up_are_refused():
    with pytest.raises(InputError, match="add up to 1"):
        validate(Parameters, changed("splits.fractions.train", 0.5))


def test_class_shares_that_do_not_add_up_are_refused():
    with pytest.raises(InputError, match="add up to 1"):
        validate(Parameters, changed("sample.class_shares.none", 0.9))


@pytest.mark.parametrize(
    ("path", "value"),
    [("seed", 2**32 - 1), ("data_processing.n_jobs", -1), ("tensor_size", [32, 32]), ("class_names", ["pit 1", "1a"])],
)
def test_parameter_at_its_limit_is_valid(path, value):
    validate(Parameters, changed(path, value))


@pytest.mark.parametrize("pretrained", ["auto", "require"])
def test_batch_norm_is_refused_where_published_weights_have_none(pretrained):
    training = {**load("parameters")["training"], "batch_norm": True, "pretrained": pretrained}
    with pytest.raises(InputError, match=r"training\.batch_norm: true does not fit .* set training\.pretrained: never"):
        validate(Parameters, changed("training", training))


def test_batch_norm_goes_with_random_weights():
    training = {**load("parameters")["training"], "batch_norm": True, "pretrained": "never"}
    assert validate(Parameters, changed("training", training)).training.batch_norm is True


@pytest.mark.parametrize("architecture", ["resnet18", "resnext101_32x8d", "ad_hoc_cnn"])
def test_architecture_is_one_of_the_projects_or_any_classifier_of_torchvision(architecture):
    assert validate(Parameters, changed("training.architecture", architecture)).training.architecture == architecture


@pytest.mark.parametrize("name", ["fcn_resnet50", "fasterrcnn_resnet50_fpn", "r3d_18"])
def test_networks_for_other_tasks_are_no_architecture(name):
    with pytest.raises(InputError, match=name):
        validate(Parameters, changed("training.architecture", name))


def test_variant_that_the_task_does_not_have_is_named():
    with pytest.raises(InputError, match=r"'multi\.comparison'.* run names 'vgg19'; the variants are augmented_cnn, "):
        validate(Parameters, changed("multi.comparison.run", ["vgg19"]))
