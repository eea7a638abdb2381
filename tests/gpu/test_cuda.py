import numpy as np
import pytest
import torch

from steel_xai.inference import predict
from steel_xai.training import train_classifier

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def train(fake_sheets, fake_split, training_parameters, tmp_path):
    def run(device):
        return train_classifier(
            fake_sheets,
            fake_split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update={"device": device, "epochs": 6}),
            seed=0,
            folder=tmp_path / device,
            data_source="fake",
        )

    return run


def test_training_on_cuda_learns_what_training_on_the_cpu_learns(train):
    (_, on_cuda), (_, on_cpu) = train("cuda"), train("cpu")
    assert on_cuda["validation_loss"].min() == pytest.approx(on_cpu["validation_loss"].min(), abs=0.2)


def test_predictions_on_cuda_equal_those_on_the_cpu_within_half_precision(train, fake_sheets, fake_split):
    classifier, _ = train("cpu")
    on_cpu = predict(classifier, fake_sheets, fake_split, batch_size=8, device="cpu")
    on_cuda = predict(classifier, fake_sheets, fake_split, batch_size=8, device="cuda")
    np.testing.assert_allclose(on_cuda[["p_0", "p_1"]], on_cpu[["p_0", "p_1"]], atol=0.02)
