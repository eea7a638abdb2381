import logging

import pytest
import torch

from steel_xai.checkpoint import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint

TENSORS = {"a/x": torch.arange(12.0).reshape(1, 3, 2, 2).contiguous(memory_format=torch.channels_last)}
RECORD = {"history": [{"epoch": 1, "loss": 1 / 3}]}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "checkpoint.safetensors", "key", TENSORS, RECORD)
    return tmp_path / "checkpoint.safetensors"


def test_what_was_saved_is_loaded(path):
    found = load_checkpoint(path, "key")
    assert found is not None
    tensors, record = found
    assert torch.equal(tensors["a/x"], TENSORS["a/x"])
    assert record == RECORD
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    anothers = tmp_path / "checkpoint.safetensors.part"
    anothers.write_text("half")
    save_checkpoint(tmp_path / "checkpoint.safetensors", "key", TENSORS, RECORD)
    assert anothers.read_text() == "half"


def test_absent_checkpoint_is_nothing(tmp_path, caplog):
    assert load_checkpoint(tmp_path / "none.safetensors", "key") is None
    assert not caplog.records


def test_checkpoint_of_another_run_is_ignored_with_a_line(path, caplog):
    caplog.set_level(logging.INFO)
    assert load_checkpoint(path, "other") is None
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_damaged_checkpoint_is_reported(path, caplog, damage):
    content = path.read_bytes()
    damaged = {
        "truncated": content[:-5],
        "flipped": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "empty": b"",
        "text": b"nothing of the kind",
    }
    path.write_bytes(damaged[damage])
    assert load_checkpoint(path, "key") is None
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "damaged" in record.getMessage()


def test_changed_record_is_reported(path, caplog):
    content = path.read_bytes()
    path.write_bytes(content.replace(rb"\"epoch\": 1", rb"\"epoch\": 2"))
    assert path.read_bytes() != content
    assert load_checkpoint(path, "key") is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_optimizer_continues_as_if_never_stored(kind):
    def build():
        torch.manual_seed(0)
        network = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        if kind == "adam":
            return network, torch.optim.Adam(network.parameters(), lr=0.1)
        return network, torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    def step(network, optimizer):
        optimizer.zero_grad()
        network(torch.ones(1, 3, 5, 5)).pow(2).sum().backward()
        optimizer.step()

    network, optimizer = build()
    other, restored = build()
    step(network, optimizer)
    other.load_state_dict(network.state_dict())
    restore_optimizer(restored, optimizer_tensors(optimizer))
    step(network, optimizer)
    step(other, restored)
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)
