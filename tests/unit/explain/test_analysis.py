import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.explain.analysis import explain_batch


class LooksAt(nn.Module):
    """A network that says class 0 where a few pixels are brighter than a level, and class 1 elsewhere."""

    def __init__(self, brighter_than):
        super().__init__()
        brightness = nn.Conv2d(3, 1, 1)
        brightness.weight.data.fill_(1 / 3)
        brightness.bias.data.fill_(-brighter_than)  # type: ignore[union-attr]
        self.features = nn.Sequential(brightness)
        self.classifier = nn.Linear(1, 2)
        nn.init.constant_(self.classifier.bias, 0)
        self.classifier.weight.data = torch.tensor([[1000.0], [0.0]])

    def forward(self, images):
        return self.classifier(torch.relu(self.features(images)).mean(dim=(2, 3))) - torch.tensor([0.5, 0])


@pytest.fixture
def stain_reader(make):
    """An explainer whose model says "no defect" where something is saturated: a shortcut by construction."""
    explainer = make(method="gradcam")
    network = LooksAt(brighter_than=1.5).eval()
    object.__setattr__(explainer, "network", network)
    object.__setattr__(explainer, "feature_layer", "features.0")
    reference = explainer.reference
    object.__setattr__(reference, "features", np.ones((len(reference.sheets), 1), np.float32))
    return explainer


def sheet(seed):
    return np.random.default_rng(seed).integers(95, 106, (1, 64, 400), dtype=np.uint8)


def test_decision_that_rests_on_a_stain_is_found_out(stain_reader):
    stained = sheet(0)
    stained[:, 20:32, 100:112] = 255
    clean, with_stain = explain_batch(stain_reader, np.stack([sheet(1), stained]), [0, 0])
    assert clean.stain is None
    assert (clean.predicted, with_stain.predicted) == (1, 0)
    assert with_stain.stain is not None
    assert with_stain.stain.decides
    assert with_stain.stain.predicted == 1
    assert with_stain.stain.probability == pytest.approx(clean.probabilities[0], abs=1e-3)
    assert with_stain.stain.control_probability == pytest.approx(with_stain.probabilities[0], abs=1e-3)
    assert with_stain.stain.relevance > 0.9
    assert with_stain.black_end is None


def test_explanations_are_the_same_where_few_sheets_fit_into_memory(stain_reader, cramped):
    stained = np.stack([sheet(seed) for seed in range(6)])
    stained[:, :, 20:32, 100:112] = 255
    whole = explain_batch(stain_reader, stained, range(6))
    object.__setattr__(stain_reader, "network", cramped(stain_reader.network))
    parts = explain_batch(stain_reader, stained, range(6))
    assert stain_reader.batch.size == 3
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
        np.testing.assert_allclose(one.evidence, other.evidence, atol=1e-6 * other.evidence.max())
        np.testing.assert_allclose(one.distances, other.distances, atol=1e-6)
        assert one.stain is not None
        assert other.stain is not None
        assert one.stain.probability == pytest.approx(other.stain.probability, abs=1e-6)


def test_stain_that_changes_nothing_gives_no_warning(stain_reader):
    stain_reader.network.classifier.weight.data.zero_()
    stained = sheet(0)
    stained[:, 20:32, 100:112] = 255
    (found,) = explain_batch(stain_reader, stained[None], [0])
    assert found.stain is not None
    assert not found.stain.decides
    assert found.stain.probability == pytest.approx(found.probabilities[found.predicted])


def test_edge_rule_asks_for_relevance_beside_the_edge(stain_reader):
    """A bright rim at the edge of the black end speaks for the class; a bright bar elsewhere does too, and stays."""
    rimmed = sheet(0)
    rimmed[:, :, 300:] = 0
    rimmed[:, :, 298:300] = 255
    (found,) = explain_batch(stain_reader, rimmed[None], [0])
    assert found.predicted == 0
    assert found.black_end is not None
    assert found.black_end.decides
    assert found.black_end.relevance > 0.9
    assert found.black_end.predicted == 1
    barred = rimmed.copy()
    barred[:, :, 298:300] = 100
    barred[:, :, 50:52] = 255
    (found,) = explain_batch(stain_reader, barred[None], [0])
    assert found.black_end is not None
    assert not found.black_end.decides
