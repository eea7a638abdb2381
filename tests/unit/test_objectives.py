import cloudpickle
import numpy as np
import pytest
import torch
from sklearn.metrics import hamming_loss

from steel_xai.batches import Examples
from steel_xai.objectives import every_class, label_bits, one_class


def examples(labels):
    nothing = np.zeros(len(labels), dtype=bool)
    return Examples(np.arange(len(labels)), np.array(labels), nothing, nothing)


def test_weighted_loss_is_that_of_classes_sampled_equally_often():
    labels = np.array([0] * 6 + [1] * 2)
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    each = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    balanced = (each[:6].mean() + each[6:].mean()) / 2
    loss = one_class(labels, 3, "inverse_frequency").loss(logits, torch.from_numpy(labels))
    assert loss.item() == pytest.approx(balanced.item(), rel=1e-5)
    plain = one_class(labels, 3, "none").loss(logits, torch.from_numpy(labels))
    assert plain.item() == pytest.approx(each.mean().item(), rel=1e-5)


def test_one_class_is_right_where_its_logit_is_largest():
    accuracy = one_class(np.array([0, 1]), 2, "none").accuracy
    logits = torch.tensor([[2.0, 1.0], [0.0, -1.0], [0.0, 3.0]])
    assert accuracy(logits, torch.tensor([0, 1, 1])).tolist() == [1, 0, 1]


def test_bit_k_of_a_label_is_class_k():
    assert label_bits(np.array([0, 1, 6]), 3).tolist() == [
        [False, False, False],
        [True, False, False],
        [False, True, True],
    ]


def test_every_class_loss_is_the_mean_binary_cross_entropy_of_all_classes():
    objective = every_class(np.array([0, 1, 6]), 3, "none")
    targets = objective.load_targets(examples([6, 0]))
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    p = 1 / (1 + np.exp(-logits.numpy()))
    t = np.array([[0, 1, 1], [0, 0, 0]])
    by_hand = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert objective.loss(logits, targets).item() == pytest.approx(by_hand, rel=1e-5)


def test_every_class_accuracy_is_one_minus_the_hamming_loss():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 16, 50), torch.from_numpy(rng.normal(size=(50, 4)).astype(np.float32))
    objective = every_class(labels, 4, "none")
    accuracy = objective.accuracy(logits, objective.load_targets(examples(labels)))
    assert accuracy.mean().item() == pytest.approx(
        1 - hamming_loss(label_bits(labels, 4), logits.numpy() > 0), abs=1e-6
    )


def test_weighted_classes_share_the_loss_of_every_class_inversely_to_their_examples():
    labels = np.array([1, 1, 1, 2])
    objective = every_class(labels, 2, "inverse_frequency")
    weights = objective.loss.get_buffer("weight")
    assert (weights[1] / weights[0]).item() == pytest.approx(3)
    assert (weights * torch.tensor([3.0, 1.0])).sum().item() == pytest.approx(4)


@pytest.mark.parametrize("of_labels", [one_class, every_class])
def test_weights_of_a_copy_follow_its_loss_to_a_device(of_labels):
    copy = cloudpickle.loads(cloudpickle.dumps(of_labels(np.array([1, 1, 2]), 3, "inverse_frequency")))
    copy.loss.to("meta")
    logits, targets = torch.zeros(2, 3, device="meta"), copy.load_targets(examples([1, 2])).to("meta")
    assert copy.loss(logits, targets).is_meta
    assert copy.weigh(targets).is_meta
