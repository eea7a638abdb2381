import errno
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steel_xai.config import TaskConfigLoader
from steel_xai.errors import DiskError, InputError
from steel_xai.evaluation import comparison
from steel_xai.evaluation.comparison import BASELINE, Study, compare, select_variants
from steel_xai.finished import FINISHED
from steel_xai.locks import exclusive
from steel_xai.parameters import ComparisonParameters, EvaluationParameters, SplitParameters, VariantParameters
from steel_xai.plots import accuracy_against_time
from steel_xai.training import train_classifier

CONF = Path(__file__).parents[3] / "conf"


def load(env="local"):
    loader = TaskConfigLoader(str(CONF), base_env="base", env=env, merge_strategy={"parameters": "soft"})
    return loader["parameters"]


@pytest.fixture
def splits():
    """The binary task's own."""
    return SplitParameters.model_validate(load()["splits"])


@pytest.fixture
def study(fake_sheets, white_stains):
    """The fake sheets, half of them with class 1."""
    defective = np.arange(60) % 2
    index = pd.DataFrame({"row": np.arange(60), "image_id": [f"{row}.jpg" for row in range(60)]})
    index = index.assign(label_1=defective, area_1=defective * 100, duplicate_group=index["row"])
    evaluation = EvaluationParameters.model_validate(load("test")["evaluation"])
    masks = np.zeros((60, 64, 40), np.uint8)
    return Study(fake_sheets, masks, index, ["pit"], evaluation, 0, "fake", white_stains)


@pytest.fixture
def variant(splits, training_parameters):
    """Make a variant of the tiny network with some training parameters changed."""

    def make(**changes):
        # not validated anew: the parameters do not know the tiny network
        return VariantParameters.model_construct(
            splits=splits, training=training_parameters.model_copy(update={"epochs": 2, **changes})
        )

    return make


@pytest.fixture
def trained(monkeypatch):
    """Count the trainings by their folders."""
    folders = []
    original = train_classifier

    def train(*args, **options):
        folders.append(options["folder"].name)
        return original(*args, **options)

    monkeypatch.setattr(comparison, "train_classifier", train)
    return folders


def test_row_of_each_variant_and_of_the_baseline(study, variant, splits, tmp_path):
    table = compare(study, {"a": variant(), "b": variant(noise=0.0)}, splits, folder=tmp_path)
    assert table["variant"].tolist() == [BASELINE, "a", "b"]
    assert table["n_test"].tolist() == [12, 12, 12]
    scores = table[["accuracy", "balanced_accuracy", "f1", "auc"]]
    assert scores.notna().all(axis=None)
    assert (table["accuracy_low"] <= table["accuracy"]).all()
    # convolutions 3 -> 8 and 8 -> 8 without bias, batch normalisations of 8, a linear layer 8 -> 2
    assert table["parameters"].tolist() == [16 * 100 + 1] + [27 * 8 + 72 * 8 + 4 * 8 + 18] * 2
    assert table["problem"].isna().all()


def test_finished_variants_are_not_trained_again(study, variant, splits, tmp_path, trained):
    variants = {"a": variant(), "b": variant(noise=0.0)}
    first = compare(study, {"a": variants["a"]}, splits, folder=tmp_path)
    both = compare(study, variants, splits, folder=tmp_path)
    assert trained == ["a", "b"]
    pd.testing.assert_frame_equal(both.iloc[:2], first, check_dtype=False)


def test_changed_variant_is_trained_again(study, variant, splits, tmp_path, trained):
    compare(study, {"a": variant()}, splits, folder=tmp_path)
    compare(study, {"a": variant(noise=0.0)}, splits, folder=tmp_path)
    assert trained == ["a", "a"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"key": 1}'])
def test_damaged_row_is_made_anew(study, variant, splits, tmp_path, trained, content):
    first = compare(study, {"a": variant()}, splits, folder=tmp_path)
    (tmp_path / "a" / FINISHED).write_text(content)
    again = compare(study, {"a": variant()}, splits, folder=tmp_path)
    assert trained == ["a", "a"]
    assert again["accuracy"].equals(first["accuracy"])
    assert json.loads((tmp_path / "a" / FINISHED).read_text())["row"]["accuracy"] == first["accuracy"].iloc[1]


def test_variant_that_cannot_be_trained_keeps_its_row_with_the_reason(study, variant, splits, tmp_path, caplog):
    variants = {"hopeless": variant(learning_rate=1e30, gradient_clip=None, optimizer="sgd"), "a": variant()}
    table = compare(study, variants, splits, folder=tmp_path)
    assert table["variant"].tolist() == [BASELINE, "hopeless", "a"]
    assert "loss became" in table["problem"].iloc[1]
    assert np.isnan(table["accuracy"].iloc[1])
    assert table["accuracy"].notna().tolist() == [True, False, True]
    assert "hopeless was left out" in caplog.text
    accuracy_against_time(table)


def test_comparison_without_any_success_says_why(study, variant, splits, tmp_path):
    with pytest.raises(InputError, match=r"no variant could be trained.*loss became"):
        compare(study, {"a": variant(learning_rate=1e30, gradient_clip=None, optimizer="sgd")}, splits, folder=tmp_path)


def test_disk_that_is_full_ends_the_comparison_and_leaves_no_variant_out(study, variant, splits, tmp_path, monkeypatch):
    write = Path.write_text

    def fill_up(path, *arguments, **options):
        if path.parent.name == "a":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", fill_up)
    with pytest.raises(DiskError, match=r"cannot write .*finished\.json: No space left"):
        compare(study, {"a": variant()}, splits, folder=tmp_path)


def test_second_run_at_once_stops_and_leaves_no_variant_out(study, variant, splits, tmp_path):
    with exclusive(tmp_path), pytest.raises(InputError, match="another run is at work"):
        compare(study, {"a": variant()}, splits, folder=tmp_path)


def test_interrupted_variant_ends_the_run_and_is_not_taken_for_finished(study, variant, splits, tmp_path, monkeypatch):
    original = train_classifier

    def interrupted(*args, **options):
        classifier, history = original(*args, **options)
        about = classifier.description.model_copy(update={"interrupted": True})
        return type(classifier)(classifier.network, about), history

    monkeypatch.setattr(comparison, "train_classifier", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(study, {"a": variant()}, splits, folder=tmp_path)
    assert not (tmp_path / "a" / FINISHED).exists()


@pytest.mark.parametrize("task", ["binary", "multi"])
def test_every_variant_runs_but_on_a_cpu_the_slow_ones(task, caplog):
    parameters = ComparisonParameters.model_validate(load()[task]["comparison"])
    chosen = select_variants(parameters, "cpu")
    left_out = [name for name in parameters.variants if name not in chosen]
    assert {parameters.variants[name].training.architecture for name in left_out} <= {"vgg16_bn", "densenet121"}
    published = {name for name, variant in parameters.variants.items() if variant.published is not None}
    assert {name for name in published if "vgg" not in name} <= chosen.keys()


def test_named_variants_run_whatever_the_device():
    parameters = ComparisonParameters.model_validate({**load()["binary"]["comparison"], "run": ["vgg16"]})
    assert list(select_variants(parameters, "cpu")) == ["vgg16"]
