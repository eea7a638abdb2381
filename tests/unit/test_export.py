import json
import logging
import re
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tests.conftest import tiny_network

from steel_xai import models
from steel_xai.classifier import ClassifierDescription, restore_classifier
from steel_xai.errors import InputError
from steel_xai.evaluation.calibration import apply_temperature
from steel_xai.export import AreaAverage, RawSheetClassifier, export_classifier
from steel_xai.export_check import TOLERANCE, check_export
from steel_xai.inference import predict
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

RAW = (128, 80)
TENSOR = (64, 40)
CALIBRATION = {"seed": 3, "n_classes": 2, "temperature": 2.5}
DOCS = Path(__file__).parents[2] / "docs" / "export.md"


def make_metrics(threshold):
    abstention = {"threshold": threshold, "target_accuracy": 0.99}
    return {"seed": 3, "best_epoch": 1, "seconds_training": 12.5, "abstention": abstention}


def make_classifier(architecture, tensor_size=TENSOR, *, batch_norm=False, channels=1, patches=None):
    """Make a classifier with random weights whose logits differ from sheet to sheet."""
    torch.manual_seed(0)
    size = patches.size if patches else tensor_size
    network = build_network(architecture, 2, batch_norm=batch_norm, dropout=0.5, image_size=size)
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)][-1]
    torch.nn.init.normal_(last.weight, std=0.3)
    description = ClassifierDescription(
        architecture=architecture,
        batch_norm=batch_norm,
        dropout=0.5,
        outputs=["no defect", "défaut"],
        tensor_size=tensor_size,
        n_channels=channels,
        patches=patches,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        weights="random",
        seed=3,
        data_source="fake",
        sheets_fingerprint="s",
        split_fingerprint="t",
        n_train=36,
        best_epoch=1,
        epochs_run=1,
        seconds_training=12.5,
        interrupted=False,
        versions={},
        parameters={},
    )
    state = (SheetFromWindows(network, patches) if patches else network).state_dict()
    return restore_classifier(description, state)


def export(classifier, raw_size=RAW, threshold=0.785):
    return export_classifier(
        classifier,
        raw_size=raw_size,
        calibration=CALIBRATION,
        metrics=make_metrics(threshold),
        data_source="elsewhere",
    )


def run(content, sheets):
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "logits", "answered"], {"sheets": sheets})


@pytest.fixture(scope="module", autouse=True)
def no_trace():
    """Keep torch from writing its compiler's trace, thousands of lines, for pytest's log."""
    logger = logging.getLogger("torch.__trace")
    level = logger.level
    logger.setLevel(logging.WARNING)
    yield
    logger.setLevel(level)


@pytest.fixture(scope="module")
def tiny():
    """A classifier of a tiny network, its ONNX file and the same computation in PyTorch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.ARCHITECTURES, "tiny", tiny_network)
        classifier = make_classifier("tiny")
        return classifier, *export(classifier)


@pytest.fixture
def raw(fake_sheets):
    """Twelve sheets at the raw size, of no two equal pixels side by side."""
    rng = np.random.default_rng(1)
    return (
        rng.integers(0, 256, (12, 1, *RAW), dtype=np.uint8) // 2
        + np.kron(fake_sheets[:12], np.ones((1, 1, 2, 2), np.uint8)) // 2
    )


@pytest.fixture
def raw_sheets(raw, fake_split, tmp_path):
    """The test sheets as files."""
    for name, sheet in zip(fake_split["image_id"][-12:], raw, strict=True):
        path = tmp_path / name
        path.write_bytes(cv2.imencode(".png", sheet[0])[1].tobytes())
    return {path.name: path for path in tmp_path.iterdir()}


@pytest.mark.parametrize("sizes", [((128, 80), (64, 40)), ((128, 160), (32, 40)), ((90, 150), (30, 50))])
def test_area_average_equals_opencv_in_every_pixel_where_sides_are_multiples(sizes):
    raw_size, (height, width) = sizes
    sheet = np.random.default_rng(0).integers(0, 256, raw_size, dtype=np.uint8)
    found = AreaAverage(raw_size, (height, width))(torch.from_numpy(sheet[None, None]))[0, 0]
    np.testing.assert_array_equal(found, cv2.resize(sheet, (width, height), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("sizes", [((100, 160), (33, 47)), ((96, 150), (32, 100)), ((65, 80), (64, 40))])
def test_area_average_is_within_a_grey_level_of_opencv_at_any_other_size(sizes):
    raw_size, (height, width) = sizes
    sheet = np.random.default_rng(0).integers(0, 256, raw_size, dtype=np.uint8)
    found = AreaAverage(raw_size, (height, width))(torch.from_numpy(sheet[None, None]))[0, 0].numpy()
    expected = cv2.resize(sheet, (width, height), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(found - expected).max() <= 1
    assert np.mean(found != expected) < 0.02


def test_sheets_of_the_tensors_size_are_not_changed():
    sheet = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 7), dtype=np.uint8)
    np.testing.assert_array_equal(AreaAverage((9, 7), (9, 7))(torch.from_numpy(sheet)), sheet)


def test_file_gives_the_calibrated_probabilities_of_the_projects_own_way(tiny, raw, fake_split):
    classifier, content, _ = tiny
    probabilities, logits, _ = run(content, raw)
    stored = np.stack([cv2.resize(sheet[0], TENSOR[::-1], interpolation=cv2.INTER_AREA)[None] for sheet in raw])
    split = fake_split.tail(12).assign(row=range(12), split=["validation"] * 6 + ["test"] * 6)
    table = predict(classifier, stored, split, batch_size=5, device="cpu")
    expected = table[["p_0", "p_1"]].to_numpy()
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(logits), 1), expected, atol=1e-5)
    np.testing.assert_allclose(probabilities, apply_temperature(expected, 2.5), atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.01


@pytest.mark.parametrize("n", [1, 3, 12])
def test_file_takes_any_number_of_sheets(tiny, raw, n):
    _, content, _ = tiny
    np.testing.assert_allclose(run(content, raw[:n])[0], run(content, raw)[0][:n], atol=1e-6)


@pytest.mark.parametrize("threshold", [0.785, 0.77, None])
def test_answered_are_sheets_whose_confidence_without_temperature_reaches_the_threshold(tiny, raw, threshold):
    classifier, _, _ = tiny
    module = RawSheetClassifier(
        classifier.network, raw_size=RAW, tensor_size=TENSOR, temperature=2.5, threshold=threshold
    )
    with torch.no_grad():
        _, logits, answered = module(torch.from_numpy(raw))
    confidence = torch.softmax(logits, dim=1).amax(dim=1).numpy()
    np.testing.assert_array_equal(answered, confidence >= (2 if threshold is None else threshold))


def test_file_answers_the_sheets_that_pytorch_answers(tiny, raw):
    _, content, module = tiny
    with torch.no_grad():
        expected = module(torch.from_numpy(raw))[2].numpy()
    np.testing.assert_array_equal(run(content, raw)[2], expected)
    assert 0 < expected.sum() < len(raw)


def test_file_says_what_it_is(tiny):
    _, content, _ = tiny
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    assert json.loads(texts["class_names"]) == ["no defect", "défaut"]
    assert json.loads(texts["answer_threshold"]) == 0.785
    assert json.loads(texts["temperature"]) == 2.5
    assert json.loads(texts["raw_size"]) == [128, 80]
    assert texts["model_trained_on"] == "fake"
    assert texts["data_source"] == "elsewhere"
    assert texts["weights"] == "random"
    assert json.loads(texts["seed"]) == 3
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", texts["steel_xai_version"])
    assert {(i.name, tuple(i.shape), i.type) for i in session.get_inputs()} == {
        ("sheets", ("n_sheets", 1, 128, 80), "tensor(uint8)")
    }


def test_model_stays_as_it_was(tiny, raw):
    classifier, _, _ = tiny
    assert all(weight.requires_grad for weight in classifier.network.parameters())


def check(tiny, content, fake_sheets, fake_split, raw_sheets):
    _, _, module = tiny
    return check_export(
        content, module, fake_sheets[:, :, :64, :40], fake_split, raw_sheets, raw_size=RAW, data_source="fake", seed=0
    )


def test_record_of_the_check(tiny, fake_sheets, fake_split, raw_sheets):
    record = check(tiny, tiny[1], fake_sheets, fake_split, raw_sheets)
    assert record["n"] == 12
    assert record["largest_difference"]["pixels"] == 0
    assert record["largest_difference"]["probabilities"] < TOLERANCE
    assert set(record["seconds_per_sheet"]) == {"onnxruntime", "torch"}
    assert min(record["seconds_per_sheet"].values()) > 0
    # The files were made darker and noisier than the stored sheets.
    assert record["stored_sheets"]["largest_difference_of_pixels"] > 10
    json.dumps(record, allow_nan=False)


def test_file_with_another_weight_is_refused(tiny, fake_sheets, fake_split, raw_sheets):
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(tiny[1])
    weight = max(model.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.1), weight.name))
    with pytest.raises(InputError, match=r"differ in .*logits"):
        check(tiny, model.SerializeToString(), fake_sheets, fake_split, raw_sheets)


def test_unreadable_and_missing_files_are_passed_over(tiny, fake_sheets, fake_split, raw_sheets):
    first, second, *others = sorted(raw_sheets)
    raw_sheets[first].write_bytes(b"no picture")
    del raw_sheets[second]
    assert check(tiny, tiny[1], fake_sheets, fake_split, raw_sheets)["n"] == len(others)


def test_no_readable_file_is_an_error(tiny, fake_sheets, fake_split):
    with pytest.raises(InputError, match="None of the 12 test sheets"):
        check(tiny, tiny[1], fake_sheets, fake_split, {})


def test_missing_extra_is_named_with_the_way_to_install_it(tiny, monkeypatch):
    monkeypatch.setattr("steel_xai.export.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(InputError, match=r"needs onnxscript: .*make setup.*pip install '\.\[onnx\]'"):
        export(tiny[0])


def test_metrics_of_another_training_are_refused(tiny):
    metrics = {**make_metrics(0.6), "seconds_training": 13.0}
    with pytest.raises(InputError, match="kedro run --pipeline=evaluation"):
        export_classifier(tiny[0], raw_size=RAW, calibration=CALIBRATION, metrics=metrics, data_source="fake")


def test_sheets_smaller_than_the_tensors_are_refused(tiny):
    with pytest.raises(InputError, match="raw_size: sheets of 32x80 pixels are smaller"):
        export(tiny[0], raw_size=(32, 80))


def test_model_of_several_classes_a_sheet_is_refused(tiny):
    classifier = tiny[0]
    description = classifier.description.model_copy(update={"activation": "sigmoid"})
    with pytest.raises(InputError, match="one class a sheet"):
        export(replace(classifier, description=description))


def test_windows_are_cut_within_the_file():
    patches = PatchParameters(count=3, size=(48, 48), black_level=16, max_black=0.5)
    classifier = make_classifier("ad_hoc_cnn", (48, 80), patches=patches)
    content, module = export(classifier, raw_size=(48, 160))
    sheets = np.random.default_rng(0).integers(0, 256, (4, 1, 48, 160), dtype=np.uint8)
    sheets[1, :, :, 100:] = 0
    sheets[2] = 0
    with torch.no_grad():
        expected = module(torch.from_numpy(sheets))
    for found, tensor in zip(run(content, sheets), expected, strict=True):
        np.testing.assert_allclose(found, tensor, atol=TOLERANCE)
    assert np.ptp(expected[0][:, 0].numpy()) > 0.001


@pytest.mark.parametrize(
    ("architecture", "batch_norm"),
    [
        ("ad_hoc_cnn", True),
        ("reduced_squeezenet", True),
        ("resnet18", False),
        *(
            pytest.param(name, norm, marks=pytest.mark.slow)
            for name, norm in [
                ("reduced_squeezenet", False),
                ("squeezenet", True),
                ("vgg16_bn", False),
                ("densenet121", False),
                ("mobilenet_v3_small", False),
                ("efficientnet_b0", False),
                ("googlenet", False),
                ("convnext_tiny", False),
                ("vit_b_32", False),
                ("swin_t", False),
                ("resnext101_32x8d", False),
            ]
        ),
    ],
)
def test_every_kind_of_network_can_be_exported(architecture, batch_norm):
    size = (224, 224) if architecture.startswith("vit") else (64, 96)
    raw_size = (2 * size[0], 2 * size[1])
    classifier = make_classifier(architecture, size, batch_norm=batch_norm, channels=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content, module = export(classifier, raw_size=raw_size)
    sheets = np.random.default_rng(0).integers(0, 256, (3, 3, *raw_size), dtype=np.uint8)
    with torch.no_grad():
        expected, expected_logits, _ = module(torch.from_numpy(sheets))
    probabilities, logits, _ = run(content, sheets)
    np.testing.assert_allclose(probabilities, expected, atol=TOLERANCE)
    np.testing.assert_allclose(logits, expected_logits, atol=TOLERANCE, rtol=TOLERANCE)


def test_example_of_the_page_runs(tiny, raw_sheets, tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "exported_model.onnx").write_bytes(tiny[1])
    (tmp_path / "sheet.jpg").write_bytes(next(iter(raw_sheets.values())).read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/export.md", "exec"), {})
    assert re.search(r"no defect|défaut|I don't know", capsys.readouterr().out)
    assert len(example.strip().splitlines()) <= 12
