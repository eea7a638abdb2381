import pytest
import torch

from steel_xai.device import autocast, batch_size, place, select_device
from steel_xai.errors import InputError


def test_auto_is_the_cpu_where_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("auto") == select_device("cpu") == torch.device("cpu")


def test_absent_cuda_is_an_error_that_names_the_way_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device: auto or cpu"):
        select_device("cuda")


def test_cuda_is_chosen_where_there_is_one_unless_the_cpu_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert select_device("cpu").type == "cpu"
    assert torch.backends.cudnn.allow_tf32
    assert select_device("auto").type == select_device("cuda").type == "cuda"
    assert not torch.backends.cudnn.allow_tf32


def test_cpu_computes_in_full_precision_and_channels_last():
    network = place(torch.nn.Conv2d(3, 4, 3), torch.device("cpu"))
    assert network.get_parameter("weight").is_contiguous(memory_format=torch.channels_last)
    with autocast(torch.device("cpu")):
        assert network(torch.zeros(1, 3, 8, 8)).dtype == torch.float32


def test_batches_are_of_the_size_for_the_device():
    assert [batch_size(torch.device(name), cpu=8, cuda=64) for name in ("cpu", "cuda")] == [8, 64]
