"""Model files and checkpoints from strangers: nothing is executed, no memory is taken on their word."""

import json
import logging
import pickle
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from tests.fuzz.hostile import HOW_MANY, REFUSED, named_outcome, spoilt, try_all, within

from steel_xai.checkpoint import load_checkpoint, save_checkpoint
from steel_xai.classifier import ClassifierDescription
from steel_xai.datasets.model import ModelDataset
from steel_xai.datasets.safetensors_file import load_model, load_tensors, read_description
from steel_xai.segmentation.segmenter import SegmenterDescription

STATE = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.ones(3), "n": torch.tensor(7)}
WEIGHTS = save(STATE)


def safetensors(header: object, data: bytes = bytes(68), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: object, offsets: object, dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def tensors(**changed: object) -> dict[str, object]:
    return {
        "a.weight": entry([3, 4], [0, 48]),
        "a.bias": entry([3], [48, 60]),
        "n": entry([], [60, 68], "I64"),
    } | {name.replace("_", "."): value for name, value in changed.items()}


class Code:
    def __reduce__(self):
        return (pytest.fail, ("executed",))


REFUSED_WEIGHTS = {
    "empty": b"",
    "pickle": pickle.dumps(Code()) + bytes(300),
    "cut short": WEIGHTS[:-1],
    "longer": WEIGHTS + b"\0",
    "huge header": safetensors(tensors(), length=2**63),
    "header beyond the end": safetensors(tensors(), length=10_000),
    "no JSON": safetensors(b"{" + b" " * 200),
    "deep JSON": safetensors(b'{"a":' * 50_000),
    "overlapping": safetensors(tensors(a_bias=entry([3], [40, 52]))),
    "hole": safetensors(tensors(n=entry([], [64, 72], "I64")), bytes(72)),
    "beyond the end": safetensors(tensors(n=entry([], [60, 2**40], "I64"))),
    "negative offsets": safetensors(tensors(n=entry([], [-8, 0], "I64"))),
    "other shape": safetensors(tensors(a_weight=entry([4, 3], [0, 48]))),
    "shape beyond 64 bits": safetensors(tensors(a_weight=entry([2**32, 2**32, 12], [0, 48]))),
    "huge empty shape": safetensors(tensors(extra=entry([0, 2**62, 2**62], [68, 68]))),
    "other type": safetensors(tensors(a_weight=entry([3, 4], [0, 48], "I32"))),
    "unknown type": safetensors(tensors(a_weight=entry([3, 4], [0, 48], "PYOBJ"))),
    "missing tensor": safetensors({"a.weight": entry([3, 4], [0, 48]), "a.bias": entry([5], [48, 68])}),
    "tensor too many": safetensors(tensors(extra=entry([0], [68, 68]))),
    "path as name": safetensors({"../../a.weight": entry([17], [0, 68])}),
    "not a number": save(STATE | {"a.bias": torch.tensor([1.0, float("nan"), 1.0])}),
    "infinite": save(STATE | {"a.bias": torch.tensor([1.0, float("inf"), 1.0])}),
}


@pytest.mark.parametrize("content", REFUSED_WEIGHTS.values(), ids=REFUSED_WEIGHTS.keys())
def test_weights_that_are_not_the_networks_are_refused_by_name(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with within(20):
        outcome, reason = named_outcome(lambda: load_tensors(path, STATE))
    assert outcome == REFUSED
    assert reason.startswith(f"{path} is no part of a readable model: ")
    assert reason.endswith("train it anew or load another version.")


@HOW_MANY
def test_damaged_weights_are_those_of_the_network_or_refused(cases, tmp_path_factory, record_property):
    path: Path = tmp_path_factory.mktemp("models") / "model.safetensors"

    def survive(content: bytes) -> str:
        path.write_bytes(content)
        outcome, reason = named_outcome(lambda: load_tensors(path, STATE))
        if outcome == REFUSED:
            assert str(path) in reason
            return REFUSED
        assert {name: (tensor.shape, tensor.dtype) for name, tensor in outcome.items()} == {
            name: (tensor.shape, tensor.dtype) for name, tensor in STATE.items()
        }
        assert all(torch.isfinite(tensor).all() for tensor in outcome.values())
        return "accepted"

    counts = try_all(survive, spoilt(st.just(WEIGHTS)), cases, record_property)
    assert min(counts["accepted"], counts[REFUSED]) > 0


@dataclass(frozen=True)
class Model:
    network: torch.nn.Module


def restore_linear(outputs: int) -> Callable[[dict[str, torch.Tensor]], Model]:
    def restore(state: dict[str, torch.Tensor]) -> Model:
        network = torch.nn.Linear(1000, outputs)
        network.load_state_dict(state)
        return Model(network)

    return restore


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    """Weights of a network with three outputs."""
    save_file(torch.nn.Linear(1000, 3).state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_model_gets_its_weights(linear):
    loaded = load_model(linear, restore_linear(3)).network.state_dict()
    assert same(loaded, load_file(linear))


@pytest.mark.parametrize("outputs", [4, 10**9, 2**62], ids=["another number", "four terabytes", "beyond 64 bits"])
def test_a_network_of_another_size_than_its_weights_is_refused_before_it_is_built(linear, outputs):
    with within(20):
        outcome, reason = named_outcome(lambda: load_model(linear, restore_linear(outputs)))
    assert outcome == REFUSED
    assert f"{linear} is no part of a readable model: no network with these weights" in reason


@pytest.mark.parametrize("content", REFUSED_WEIGHTS.values(), ids=REFUSED_WEIGHTS.keys())
def test_a_model_of_hostile_weights_is_refused(linear, content):
    linear.write_bytes(content)
    with within(20):
        outcome, reason = named_outcome(lambda: load_model(linear, restore_linear(3)))
    assert outcome == REFUSED
    assert str(linear) in reason


def test_weights_of_another_type_are_not_converted(linear):
    save_file({name: tensor.double() for name, tensor in load_file(linear).items()}, linear)
    outcome, reason = named_outcome(lambda: load_model(linear, restore_linear(3)))
    assert outcome == REFUSED
    assert "bias is float64 [3] where its network has float32 [3]" in reason


DESCRIPTION = {
    "architecture": "reduced_squeezenet",
    "batch_norm": True,
    "dropout": 0.2,
    "outputs": ["no defect", "defect"],
    "tensor_size": [64, 400],
    "n_channels": 1,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.2, 0.2, 0.2],
    "weights": "random",
    "seed": 0,
    "data_source": "sample",
    "sheets_fingerprint": "a",
    "split_fingerprint": "b",
    "n_train": 3,
    "best_epoch": 1,
    "epochs_run": 1,
    "seconds_training": 1.5,
    "interrupted": False,
    "versions": {"torch": "2"},
    "parameters": {},
}
SEGMENTER = {name: value for name, value in DESCRIPTION.items() if name != "dropout"} | {
    "kind": "segmenter",
    "architecture": "unet",
    "encoder": "resnet18",
    "loss": "soft_dice",
    "classes": [1, 2],
    "masks_fingerprint": "c",
}
KINDS = pytest.mark.parametrize(
    ("description", "kind"),
    [(DESCRIPTION, ClassifierDescription), (SEGMENTER, SegmenterDescription)],
    ids=["classifier", "segmenter"],
)
ELSEWHERE = ["tu-hf-hub:evil/repo", "tu-local-dir:/tmp"]
"""Names that make timm look for a network on the internet or in a folder."""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["../../etc/passwd", *ELSEWHERE]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def descriptions(draw: st.DrawFn, whole: dict[str, object]) -> bytes:
    """Change, add and leave out keys."""
    changed = whole | draw(st.dictionaries(st.sampled_from(sorted(whole)), VALUES, max_size=2))
    changed |= draw(st.dictionaries(st.text(max_size=9), VALUES, max_size=1))
    for name in draw(st.lists(st.sampled_from(sorted(whole)), max_size=1)):
        changed.pop(name, None)
    return json.dumps(changed).encode()


@KINDS
def test_a_description_is_read(tmp_path, description, kind):
    (tmp_path / "model.json").write_text(json.dumps(description))
    assert read_description(tmp_path / "model.json", kind).outputs == ["no defect", "defect"]


@KINDS
@HOW_MANY
def test_a_tampered_description_is_one_or_refused(cases, tmp_path_factory, record_property, description, kind):
    path: Path = tmp_path_factory.mktemp("models") / "model.json"

    def survive(content: bytes) -> str:
        path.write_bytes(content)
        outcome, reason = named_outcome(lambda: read_description(path, kind))
        if outcome == REFUSED:
            assert str(path) in reason
            return REFUSED
        assert isinstance(outcome, kind)
        assert getattr(outcome, "encoder", None) not in ELSEWHERE
        return "accepted"

    changed, whole = descriptions(description), st.just(json.dumps(description).encode())
    counts = try_all(survive, changed | changed | spoilt(whole), cases, record_property)
    assert min(counts["accepted"], counts[REFUSED]) > 0


@pytest.mark.parametrize("encoder", ELSEWHERE)
def test_a_description_brings_no_network_from_elsewhere(tmp_path, monkeypatch, encoder):
    def connect(*_: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr("socket.socket.connect", connect)
    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text(json.dumps(SEGMENTER | {"encoder": encoder}))
    outcome, reason = named_outcome(ModelDataset(filepath=str(tmp_path)).load)
    assert outcome == REFUSED
    assert f"{tmp_path / 'model.json'} is no part of a readable model" in reason
    assert f"'{encoder}' is no encoder of unet; there are efficientnet-b2" in reason


HOSTILE_DESCRIPTIONS = {
    "empty": b"",
    "zeros": bytes(100),
    "list": b"[]",
    "deep": b"[" * 900_000,
    "huge": json.dumps(DESCRIPTION | {"outputs": ["defect"] * 200_000}).encode(),
    "other encoding": json.dumps(DESCRIPTION).encode("utf-16"),
    "huge number": json.dumps(DESCRIPTION).replace('"seed": 0', '"seed": 1' + "0" * 100_000).encode(),
    "class": json.dumps(DESCRIPTION | {"__class__": "os.system"}).encode(),
}


@pytest.mark.parametrize("content", HOSTILE_DESCRIPTIONS.values(), ids=HOSTILE_DESCRIPTIONS.keys())
def test_a_hostile_description_is_refused_by_name(tmp_path, content):
    path = tmp_path / "model.json"
    path.write_bytes(content)
    with within(20):
        outcome, reason = named_outcome(lambda: read_description(path, ClassifierDescription))
    assert outcome == REFUSED
    assert str(path) in reason


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_part_of_a_model_that_is_no_plain_file_is_refused(tmp_path, make_special, kind, name):
    make_special(tmp_path / name, kind)
    with within(10):
        if name == "model.json":
            outcome, reason = named_outcome(lambda: read_description(tmp_path / name, ClassifierDescription))
        else:
            outcome, reason = named_outcome(lambda: load_tensors(tmp_path / name, STATE))
    assert outcome == REFUSED
    assert name in reason


RECORD = {"history": [{"epoch": 1, "loss": 1 / 3}]}


def checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder, "checkpoint.safetensors"), "key", STATE, RECORD)
        return Path(folder, "checkpoint.safetensors").read_bytes()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)


@HOW_MANY
def test_a_damaged_checkpoint_is_the_one_that_was_saved_or_not_used(cases, tmp_path_factory, record_property):
    path: Path = tmp_path_factory.mktemp("checkpoints") / "checkpoint.safetensors"
    logging.getLogger("steel_xai.checkpoint").setLevel(logging.ERROR)

    def survive(content: bytes) -> str:
        path.write_bytes(content)
        found = load_checkpoint(path, "key")
        if found is None:
            return "not used"
        state, record = found
        assert same(state, STATE)
        assert record == RECORD
        return "used"

    whole = st.just(checkpoint())
    counts = try_all(survive, spoilt(whole), cases, record_property)
    logging.getLogger("steel_xai.checkpoint").setLevel(logging.NOTSET)
    assert counts["used"] > 0
    assert counts["not used"] > cases / 2


@pytest.mark.parametrize("content", REFUSED_WEIGHTS.values(), ids=REFUSED_WEIGHTS.keys())
def test_a_hostile_checkpoint_is_reported_and_not_used(tmp_path, caplog, content):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with within(20):
        assert load_checkpoint(path, "key") is None
    assert f"The checkpoint {path} is damaged" in caplog.text
    assert len(caplog.text) < 1000


def test_a_checkpoint_of_numbers_that_numpy_does_not_know_is_not_used(tmp_path, caplog):
    header = {"key": "key", "content": "", "record": "[" * 100_000}
    save_file({"a": torch.ones(3, dtype=torch.bfloat16)}, tmp_path / "checkpoint.safetensors", metadata=header)
    assert load_checkpoint(tmp_path / "checkpoint.safetensors", "key") is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_checkpoint_that_is_no_plain_file_is_not_used(tmp_path, caplog, make_special, kind):
    make_special(tmp_path / "checkpoint.safetensors", kind)
    with within(10):
        assert load_checkpoint(tmp_path / "checkpoint.safetensors", "key") is None
    assert "damaged" in caplog.text
