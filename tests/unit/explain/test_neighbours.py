import numpy as np
import pytest
import torch

from steel_xai.batches import normalise
from steel_xai.errors import InputError
from steel_xai.explain import neighbours
from steel_xai.explain.neighbours import last_feature_layer, logits_and_features, training_reference
from steel_xai.memory import BatchSize
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


@pytest.fixture
def reference(classifier, fake_sheets, fake_split, tmp_path):
    def make(network=None):
        return training_reference(
            classifier,
            network or classifier.network,
            fake_sheets,
            fake_split,
            device=torch.device("cpu"),
            batch=BatchSize(8, "batch_size"),
            folder=tmp_path,
        )

    return make


def test_training_sheet_is_nearest_to_itself(reference, classifier, fake_sheets):
    images = normalise(torch.from_numpy(fake_sheets[[7]]))
    _, features = logits_and_features(classifier.network, last_feature_layer(classifier.network), images)
    found = reference()
    nearest, distances = found.nearest(features)
    assert found.sheets["row"].iloc[nearest[0, 0]] == 7
    assert distances[0, 0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(distances[0]) >= 0).all()


def test_distances_are_cosine_distances_of_the_mean_of_the_last_feature_maps(reference, classifier, fake_sheets):
    """Compared with a loop over sheets."""
    found = reference()
    vectors = {}
    with torch.no_grad():
        for row in (*found.sheets["row"], 59):
            maps = classifier.network.features(normalise(torch.from_numpy(fake_sheets[[row]])))
            vectors[row] = maps[0].mean(dim=(1, 2)).double().numpy()
    seen = vectors[59]
    length = {row: max(np.linalg.norm(v), 1e-12) for row, v in vectors.items()}
    slow = {row: 1 - v @ seen / length[row] / length[59] for row, v in vectors.items() if row != 59}
    expected = sorted(slow, key=slow.__getitem__)[:3]
    nearest, distances = found.nearest((seen / length[59])[None].astype(np.float32))
    np.testing.assert_allclose(distances[0], [slow[row] for row in expected], atol=1e-5)
    assert set(found.sheets["row"]) == set(range(36))
    assert len(nearest[0]) == 3


def test_features_of_training_sheets_are_computed_once(reference, monkeypatch, tmp_path):
    (tmp_path / "features-of-another-model.npy").touch()
    first = reference()
    monkeypatch.setattr(neighbours, "logits_and_features", None)
    again = reference()
    np.testing.assert_array_equal(first.features, again.features)
    assert first.yardstick == again.yardstick
    assert len(list(tmp_path.glob("features-*"))) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "other sheets"])
def test_damaged_features_are_computed_anew_with_a_warning(reference, tmp_path, caplog, damage):
    first = reference()
    (path,) = tmp_path.glob("features-*.npy")
    if damage == "other sheets":
        np.save(path, first.features[:3])
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "cut" else b"")
    again = reference()
    np.testing.assert_array_equal(first.features, again.features)
    (record,) = caplog.records
    assert (record.levelname, str(path) in record.getMessage()) == ("WARNING", True)
    caplog.clear()
    reference()
    assert not caplog.records


def test_features_are_the_same_where_few_sheets_fit_into_memory(reference, classifier, cramped, tmp_path):
    whole = reference()
    for path in tmp_path.glob("features-*.npy"):
        path.unlink()
    np.testing.assert_allclose(reference(cramped(classifier.network)).features, whole.features, atol=1e-6)


def test_yardstick_is_median_and_far_end_of_the_validation_sheets(reference):
    median, far = reference().yardstick
    assert 0 <= median <= far < 2


def test_network_of_windows_is_refused(classifier):
    patches = PatchParameters(count=2, size=(64, 40), black_level=16, max_black=0.5)
    with pytest.raises(InputError, match=r"training\.patches"):
        last_feature_layer(SheetFromWindows(classifier.network, patches))
