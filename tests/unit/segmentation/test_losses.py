import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.batches import Examples
from steel_xai.segmentation.losses import CrossEntropyAndDice, SoftDice, label_every_pixel, mean_dice, pixel_labels


def slow_soft_dice(logits, targets, smoothing):
    odds = torch.exp(logits.double())
    terms = []
    for output in range(logits.shape[1]):
        both = total = 0.0
        for sheet, labels in zip(odds, targets, strict=True):
            for y in range(labels.shape[0]):
                for x in range(labels.shape[1]):
                    p, t = float(sheet[output, y, x] / sheet[:, y, x].sum()), int(labels[y, x] == output)
                    both, total = both + p * t, total + p + t
        if (targets == output).any():
            terms.append((2 * both + smoothing) / (total + smoothing))
    return 1 - sum(terms) / len(terms)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 10), st.integers(1, 4))
def test_soft_dice_is_its_formula_over_the_outputs_that_are_there(seed, smoothing, n_there):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 4, 4, 5, generator=generator)
    targets = torch.randint(0, n_there, (2, 4, 5), generator=generator)
    expected = slow_soft_dice(logits, targets, smoothing)
    assert SoftDice(smoothing)(logits, targets).item() == pytest.approx(expected, abs=1e-5)


def test_soft_dice_of_the_truth_is_zero_and_of_its_opposite_almost_one():
    targets = torch.zeros(1, 8, 8, dtype=torch.int64)
    targets[0, :4] = 1
    right = 50.0 * torch.stack([targets == 0, targets == 1], dim=1)
    assert SoftDice(1.0)(right, targets).item() == pytest.approx(0, abs=1e-6)
    assert SoftDice(1.0)(-right, targets).item() == pytest.approx(1 - 1 / 65, abs=1e-5)


def test_finding_nothing_is_no_way_out_of_soft_dice():
    """A network of background alone still has a gradient towards the class that is there."""
    targets = torch.zeros(4, 8, 8, dtype=torch.int64)
    targets[0, :2] = 1
    logits = torch.zeros(4, 3, 8, 8)
    logits[:, 0] = 3
    logits.requires_grad_()
    SoftDice(1.0)(logits, targets).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 1, :2] < 0).all()
    assert (logits.grad[:, 2].abs() < logits.grad[0, 1, :2].abs().min()).all()


def test_the_sum_of_both_losses_is_their_sum():
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(2, 4, 3, 5, generator=generator), torch.zeros(2, 3, 5, dtype=torch.int64)
    targets[0, 1] = 2
    expected = torch.nn.functional.cross_entropy(logits, targets) + SoftDice(0.5)(logits, targets)
    assert CrossEntropyAndDice(0.5)(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_pixel_of_several_classes_gets_the_first_asked_for_and_other_bits_are_background():
    masks = np.array([[0b0000, 0b0001, 0b0100, 0b0101, 0b0010, 0b1110]], np.uint8)
    assert pixel_labels(masks, [1, 2, 3, 4]).tolist() == [[0, 1, 3, 1, 2, 2]]
    assert pixel_labels(masks, [3, 1]).tolist() == [[0, 2, 1, 1, 0, 1]]
    assert pixel_labels(np.array([[255]], np.uint8), [8]).tolist() == [[1]]


def test_targets_are_flipped_as_their_sheets():
    masks = np.zeros((2, 3, 4), np.uint8)
    masks[1, 0, 0] = 1
    objective = label_every_pixel(masks, [1], "cross_entropy", 1.0)
    examples = Examples(np.array([1, 1]), np.zeros(2, np.int64), np.array([True, False]), np.array([True, False]))
    targets = objective.load_targets(examples)
    assert targets.dtype == torch.int64
    assert targets.nonzero().tolist() == [[0, 2, 3], [1, 0, 0]]


def test_accuracy_is_the_dice_of_each_sheet_averaged_over_the_classes_there_or_found():
    targets = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[2, 2, 1, 0]], [[1, 1, 0, 0]], [[0, 0, 0, 0]]])
    predicted = torch.tensor([[[1, 0, 0, 0]], [[0, 0, 0, 0]], [[0, 2, 1, 1]], [[1, 1, 2, 0]], [[0, 2, 0, 0]]])
    logits = torch.nn.functional.one_hot(predicted, 3).permute(0, 3, 1, 2).float()
    expected = [2 / 3, 1, (2 / 3 + 2 / 3) / 2, (1 + 0) / 2, 0]
    torch.testing.assert_close(mean_dice(logits, targets), torch.tensor(expected))


def test_losses_are_those_that_are_named():
    masks = np.zeros((1, 2, 2), np.uint8)
    assert isinstance(label_every_pixel(masks, [1], "cross_entropy", 1.0).loss, torch.nn.CrossEntropyLoss)
    assert label_every_pixel(masks, [1], "soft_dice", 2.5).loss.smoothing == 2.5
