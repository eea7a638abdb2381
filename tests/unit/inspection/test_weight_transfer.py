import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai.attribution.randomisation import randomised
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.errors import InputError
from steel_xai.inspection.weight_transfer import (
    modules_with_weights,
    replace_modules,
    transfer_weights,
    unseen_examples,
)
from steel_xai.models import build_network

SIZE = (64, 40)


def classifier(n_classes, seed, **changes):
    """A network of two convolutions with batch normalisation whose statistics are its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_network("tiny", n_classes, batch_norm=True, dropout=0.1, image_size=SIZE)
        with torch.no_grad():
            network(torch.randn(8, 3, *SIZE))
            network.get_parameter("classifier.3.weight").mul_(50)
    description = ClassifierDescription.model_construct(
        **{"architecture": "tiny", "batch_norm": True, "tensor_size": SIZE, **changes}
    )
    return Classifier(network.eval(), description)


@pytest.fixture
def models(tiny_architecture):
    return {"binary": classifier(2, 0), "multi": classifier(3, 1)}


@pytest.fixture
def splits(fake_split):
    """Half of each task's twelve test sheets (48 to 59, 0 to 11) are training sheets of the other."""
    binary, multi = fake_split.copy(), fake_split.assign(split=fake_split["split"].to_numpy()[::-1])
    binary.loc[:5, "split"] = multi.loc[54:, "split"] = "validation"
    return {"binary": binary, "multi": multi.assign(label=np.arange(60) % 3)}


def transfer(models, sheets, splits, seed=0):
    return transfer_weights(models, sheets, splits, batch_size=5, device="cpu", n_samples=100, seed=seed)


def equal(module: nn.Module, other: nn.Module) -> bool:
    state, given = module.state_dict(), other.state_dict()
    return all(torch.equal(state[name], given[name]) for name in state)


def test_modules_are_replaced_one_after_the_other_with_their_statistics_and_stay_so(models):
    receiver, donor = models["multi"].network, models["binary"].network
    before = [copy.deepcopy(network.state_dict()) for network in (receiver, donor)]
    names = modules_with_weights(receiver)
    assert names == ["features.0", "features.3", "classifier.3"]
    for count, (name, treatment, network) in enumerate(replace_modules(receiver, donor), start=1):
        assert name == names[count - 1]
        assert treatment == ("kept" if name == "classifier.3" else "replaced")
        for k, module in enumerate(names):
            is_replaced = k < count and module != "classifier.3"
            assert equal(network.get_submodule(module), (donor if is_replaced else receiver).get_submodule(module))
    for network, state in zip((receiver, donor), before, strict=True):
        assert all(torch.equal(network.state_dict()[name], state[name]) for name in state)


def test_a_last_layer_that_fits_is_replaced_and_makes_the_donor_of_the_receiver(tiny_architecture):
    receiver, donor = classifier(2, 0).network, classifier(2, 1).network
    *_, (_, treatment, network) = replace_modules(receiver, donor)
    images = torch.randn(4, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(network(images), donor(images))
        assert not torch.allclose(receiver(images), donor(images))
    assert treatment == "replaced"


def test_scores_are_those_of_the_network_of_each_step_on_the_sheets_that_the_donor_has_not_seen(
    models, fake_sheets, splits
):
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    from steel_xai.batches import load_batch

    table = transfer(models, fake_sheets, splits)
    assert table.groupby(["receiver", "donor"]).size().to_dict() == {
        ("multi", "binary"): 4,
        ("multi", "random"): 4,
        ("binary", "multi"): 4,
        ("binary", "random"): 4,
    }
    receiver, donor = models["binary"].network, models["multi"].network
    examples, left_out = unseen_examples(splits, "binary", "multi")
    controls = {"multi": donor, "random": randomised(donor, 0)}
    for name, weights in controls.items():
        rows = table[(table["receiver"] == "binary") & (table["donor"] == name)].set_index("step")
        networks = [receiver] + [copy.deepcopy(network) for _, _, network in replace_modules(receiver, weights)]
        for step, network in enumerate(networks):
            with torch.no_grad():
                predicted = network(load_batch(fake_sheets, examples, torch.device("cpu"))).argmax(dim=1).numpy()
            found = rows.loc[step]
            assert found["accuracy"] == pytest.approx(accuracy_score(examples.labels, predicted))
            assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(examples.labels, predicted))
            if predicted.any():
                assert found["f1"] == pytest.approx(f1_score(examples.labels, predicted))
            assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
        assert (rows["n"] == len(examples)).all()
        assert (rows["left_out"] == left_out).all()


def test_rows_name_area_and_treatment_and_a_kept_layer_changes_nothing(models, fake_sheets, splits):
    table = transfer(models, fake_sheets, splits)
    first = table.head(4)
    assert first["module"].tolist() == ["none", "features.0", "features.3", "classifier.3"]
    assert first["area"].tolist() == ["none", "features", "features", "classifier"]
    assert first["treatment"].tolist() == ["own", "replaced", "replaced", "kept"]
    assert first["accuracy"].iloc[3] == first["accuracy"].iloc[2]
    pd.testing.assert_frame_equal(table, transfer(models, fake_sheets, splits))


def test_test_sheets_that_trained_the_donor_are_left_out(splits):
    examples, left_out = unseen_examples(splits, "binary", "multi")
    assert (examples.rows.tolist(), left_out) == (list(range(54, 60)), 6)
    examples, left_out = unseen_examples(splits, "multi", "binary")
    assert (examples.rows.tolist(), examples.labels.tolist(), left_out) == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 0, 1, 2], 6)


def test_a_donor_that_has_seen_all_test_sheets_is_refused(splits):
    splits["multi"]["split"] = "train"
    with pytest.raises(InputError, match="All 12 test sheets of the binary task"):
        unseen_examples(splits, "binary", "multi")


@pytest.mark.parametrize("change", [{"architecture": "vgg16_bn"}, {"batch_norm": False}, {"tensor_size": (32, 20)}])
def test_models_of_other_architectures_are_refused_with_both_named(change, models, fake_sheets, splits):
    models["multi"] = classifier(3, 1, **change)
    with pytest.raises(InputError, match=r"binary: tiny with .* and multi: .*training\.architecture"):
        transfer(models, fake_sheets, splits)
