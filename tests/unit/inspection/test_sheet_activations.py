import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.batches import normalise
from steel_xai.errors import InputError
from steel_xai.inspection.sheet_activations import SheetActivations, activate_sheets


def activations(peak, least, mean=None, cell=None):
    peak = np.array(peak, np.float32)
    return SheetActivations(
        rows=np.array([7, 3, 9])[: len(peak)],
        mean=peak / 2 if mean is None else mean,
        peak=peak,
        cell=np.zeros_like(peak, int) if cell is None else np.array(cell),
        least=np.array(least, np.float32),
        shape=(2, 5),
    )


def test_measures_equal_those_of_whole_outputs(fake_sheets):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 2, 3)).eval()
    rows = np.array([40, 3, 11, 0, 8])
    found = activate_sheets(network, ["2"], fake_sheets, rows, batch_size=2, device=torch.device("cpu"))["2"]
    with torch.no_grad():
        output = network[:3](normalise(torch.from_numpy(fake_sheets[rows]))).numpy()
    flat = output.reshape(5, 5, -1)
    assert found.shape == output.shape[2:]
    np.testing.assert_allclose(found.mean, flat.mean(axis=2), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.peak, flat.max(axis=2), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.least, flat.min(axis=(0, 2)), rtol=1e-4, atol=1e-6)
    at_cell = np.take_along_axis(flat, found.cell[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(at_cell, flat.max(axis=2), rtol=1e-4, atol=1e-6)


def test_dead_filters_are_those_never_above_zero_or_always_the_same():
    found = activations([[0, 2, -1, 3, 3], [0, 1, -2, 3, 3 + 1e-6]], least=[0, 0, -5, 1, 3])
    assert found.active().tolist() == [1, 3]


def test_strongest_sheets_are_different_ones_in_falling_order_with_row_and_column_of_the_cell():
    found = activations([[1.0], [5.0], [3.0]], least=[0], cell=[[2], [7], [4]])
    assert found.strongest(0, 2) == [(3, (1, 2)), (9, (0, 4))]
    assert len(found.strongest(0, 10)) == 3


def test_layer_without_maps_is_refused(fake_sheets):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(InputError, match="2 has no maps"):
        activate_sheets(network, ["2"], fake_sheets, np.arange(3), batch_size=2, device=torch.device("cpu"))
