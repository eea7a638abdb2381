import json

import numpy as np
import pytest
import torch
from PIL import Image

from steel_xai.batches import normalise
from steel_xai.evaluation.throughput import sheets_per_second
from steel_xai.sheets.decoding import decode_sheet
from steel_xai.training import train_classifier

RAW_SIZE, TENSOR_SIZE = (128, 80), (64, 40)


@pytest.fixture
def classifier(fake_sheets, fake_split, training_parameters, tmp_path):
    return train_classifier(
        fake_sheets,
        fake_split,
        outputs=["no defect", "defect"],
        parameters=training_parameters.model_copy(update={"epochs": 1}),
        seed=0,
        folder=tmp_path / "training",
        data_source="fake",
    )[0]


@pytest.fixture
def seen(classifier):
    """What goes into the network, batch by batch."""
    batches = []
    classifier.network.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0].clone()))
    return batches


@pytest.fixture
def image_paths(tmp_path):
    """Ten sheets, each of one grey level that rises with its number."""
    paths = {f"{k}.jpg": tmp_path / f"{k}.jpg" for k in reversed(range(10))}
    for name, path in paths.items():
        level = 20 * int(name[0])
        Image.fromarray(np.full(RAW_SIZE, level, np.uint8)).save(path, "JPEG")
    return paths


def time_files(classifier, paths, n_sheets=99, batch_size=4):
    record = sheets_per_second(
        classifier, paths, raw_size=RAW_SIZE, n_sheets=n_sheets, batch_size=batch_size, device="cpu"
    )
    return json.loads(json.dumps(record, allow_nan=False))


def test_every_file_is_judged_once_after_a_batch_of_warming_up(classifier, image_paths, seen):
    record = time_files(classifier, image_paths)
    assert [len(batch) for batch in seen] == [4, 4, 4, 2]
    expected = np.stack(
        [decode_sheet(image_paths[f"{k}.jpg"].read_bytes(), RAW_SIZE, TENSOR_SIZE, 1) for k in range(10)]
    )
    torch.testing.assert_close(torch.cat(seen[1:]), normalise(torch.from_numpy(expected)))
    assert (record["n_sheets"], record["n_unreadable"], record["device"]) == (10, 0, "cpu")
    assert record["seconds"] > 0
    assert record["sheets_per_second"] == pytest.approx(10 / record["seconds"])
    assert record["network_threads"] == torch.get_num_threads()


def test_only_the_first_files_are_read(classifier, image_paths, seen):
    image_paths["7.jpg"].unlink()
    record = time_files(classifier, image_paths, n_sheets=6)
    assert (record["n_sheets"], record["n_unreadable"]) == (6, 0)
    assert sum(map(len, seen)) == 4 + 6


def test_unreadable_files_are_skipped_and_counted(classifier, image_paths):
    image_paths["1.jpg"].write_text("no picture")
    image_paths["2.jpg"].unlink()
    for batch_size in (1, 3, 64):
        record = time_files(classifier, image_paths, batch_size=batch_size)
        assert (record["n_sheets"], record["n_unreadable"]) == (8, 2)
        assert record["sheets_per_second"] == pytest.approx(8 / record["seconds"])


@pytest.mark.parametrize("n_files", [0, 3])
def test_no_readable_file_has_no_rate(classifier, tmp_path, n_files):
    paths = {f"{k}.jpg": tmp_path / "missing" / f"{k}.jpg" for k in range(n_files)}
    record = time_files(classifier, paths)
    assert (record["sheets_per_second"], record["n_sheets"], record["n_unreadable"]) == (None, 0, n_files)
