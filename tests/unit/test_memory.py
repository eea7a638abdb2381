import logging

import pytest
import torch
from torch import nn

from steel_xai.errors import InputError
from steel_xai.memory import BatchSize, in_batches, micro_batches


class Device:
    """A stand-in for a device on which no more than ``room`` examples fit at a time."""

    def __init__(self, room):
        self.room = room
        self.tried = []

    def compute(self, part):
        self.tried.append(part.stop - part.start)
        if self.tried[-1] > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))


@pytest.mark.parametrize(("n", "room"), [(20, 3), (20, 8), (20, 100), (1, 1), (0, 1), (5, 4), (8, 7)])
def test_every_example_is_computed_once_and_in_order_whatever_fits(n, room):
    found = list(in_batches(Device(room).compute, n, BatchSize(8, "evaluation.batch_size")))
    assert [value for _, values in found for value in values] == list(range(n))
    assert [value for part, _ in found for value in range(part.start, part.stop)] == list(range(n))


def test_batch_is_halved_until_it_fits_and_stays_so():
    device, batch = Device(room=2), BatchSize(8, "evaluation.batch_size")
    list(in_batches(device.compute, 6, batch))
    assert device.tried == [6, 3, 1, 1, 1, 1, 1, 1]
    device.tried.clear()
    list(in_batches(device.compute, 2, batch))
    assert device.tried == [1, 1]


def test_one_warning_names_the_new_size_and_the_parameter(caplog):
    with caplog.at_level(logging.WARNING):
        list(in_batches(Device(room=4).compute, 32, BatchSize(8, "evaluation.batch_size")))
    (record,) = caplog.records
    assert "goes on with 4" in record.message
    assert "evaluation.batch_size" in record.message


def test_nothing_is_said_where_everything_fits(caplog):
    list(in_batches(Device(room=8).compute, 32, BatchSize(8, "evaluation.batch_size")))
    assert not caplog.records


def test_example_that_does_not_fit_alone_is_an_error_that_names_the_parameter():
    with pytest.raises(InputError, match=r"evaluation\.batch_size: not even a batch of 1 fits"):
        list(in_batches(Device(room=0).compute, 4, BatchSize(2, "evaluation.batch_size")))


def test_batch_is_not_made_smaller_than_the_smallest_allowed():
    device = Device(room=3)
    with pytest.raises(InputError, match="a batch of 4 does not fit"):
        list(in_batches(device.compute, 8, BatchSize(8, "training.batch_size", smallest=4)))
    assert device.tried == [8, 4]


def test_other_errors_pass():
    def fail(part):
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        list(in_batches(fail, 4, BatchSize(2, "evaluation.batch_size")))


def test_failed_attempt_is_forgotten_before_the_next_one():
    # An error that is still known keeps the frames of the failed pass alive, and in them its tensors.
    alive = set()

    class Activation:
        def __init__(self):
            alive.add(id(self))

        def __del__(self):
            alive.discard(id(self))

    def compute(part):
        assert not alive
        activation = Activation()
        if part.stop - part.start > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return activation is None

    assert len(list(in_batches(compute, 4, BatchSize(4, "evaluation.batch_size")))) == 4


@pytest.fixture
def step():
    """Return a function that gives loss and gradient of one batch, on a device with room for so many examples."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    images, labels = torch.randn(10, 5), torch.randint(0, 3, (10,))
    tried = []

    def run(room, batch):
        def accumulate(part):
            tried.append(part.stop - part.start)
            loss = nn.functional.cross_entropy(network(images[part]), labels[part]) * (part.stop - part.start) / 10
            # Memory gives out on the way back, when some gradients are there already.
            torch.autograd.backward(loss)
            if tried[-1] > room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return loss.detach()

        tried.clear()
        losses = micro_batches(accumulate, 10, batch, start_over=network.zero_grad)
        gradients = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
        return torch.stack(losses).sum(), gradients, list(tried)

    return run


@pytest.mark.parametrize("room", [1, 2, 3, 5, 9])
def test_gradient_of_parts_is_that_of_the_whole_batch(step, room):
    loss, gradients, tried = step(10, BatchSize(16, "training.batch_size"))
    assert tried == [10]
    in_parts, gradients_of_parts, tried = step(room, BatchSize(16, "training.batch_size"))
    assert max(tried[-2:]) <= room
    torch.testing.assert_close(in_parts, loss)
    assert len(gradients) == 4
    torch.testing.assert_close(gradients_of_parts, gradients)


def test_later_batches_begin_with_parts_that_fit(step):
    batch = BatchSize(16, "training.batch_size")
    assert step(5, batch)[2] == [10, 5, 5]
    assert step(5, batch)[2] == [5, 5]


def test_batch_of_which_no_part_fits_is_an_error(step):
    with pytest.raises(InputError, match=r"training\.batch_size"):
        step(0, BatchSize(16, "training.batch_size"))
