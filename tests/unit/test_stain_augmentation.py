import numpy as np
import pytest
import torch
from tqdm import tqdm

from steel_xai import loop
from steel_xai.batches import Examples
from steel_xai.epochs import Task, train_epoch, validate_epoch
from steel_xai.errors import InputError
from steel_xai.objectives import one_class
from steel_xai.parameters import PatchParameters, StainDetectionParameters
from steel_xai.stain_audit.stains import Stain
from steel_xai.stain_augmentation import paste_at_random, stains_to_paste
from steel_xai.training import train_classifier

PARAMETERS = StainDetectionParameters(
    min_brightness=220, min_contrast=90, max_length_share=0.4, max_roughness=16, min_area=12
)
SIZE = (64, 40)


def block(at_top=False, at_bottom=False):
    """A stain of 6x4 pixels, grey level 250, its left column half opaque."""
    opacity = np.ones((6, 4), np.float32)
    opacity[:, 0] = 0.5
    return Stain(np.full((1, 6, 4), 250, np.uint8), opacity, at_top, at_bottom)


@pytest.fixture
def stained_sheets():
    """Sixty calm sheets of 64x40 pixels; every sixth, all of label 0, has a blob, odd ones a dark square."""
    rng = np.random.default_rng(0)
    sheets = rng.integers(97, 104, (60, 1, 64, 40), dtype=np.uint8)
    sheets[1::2, :, 20:36, 10:26] = 60
    sheets[::6, :, 40:46, 20:25] = 250
    return sheets


def test_stains_are_cut_out_of_training_sheets_without_a_defect(stained_sheets, fake_split):
    assert len(stains_to_paste(stained_sheets, fake_split, 0.5, PARAMETERS, SIZE)) == 6
    blank = stained_sheets.copy()
    blank[:36:2] = 100
    with pytest.raises(InputError, match=r"training\.stain_augmentation is 0\.5.*18 defect-free training sheets"):
        stains_to_paste(blank, fake_split, 0.5, PARAMETERS, SIZE)


def test_switched_off_it_looks_at_no_sheet(fake_split):
    assert stains_to_paste(np.zeros((0, 1, 64, 40), np.uint8), fake_split, 0, None, SIZE) == []


def test_stains_larger_than_the_windows_are_not_used(stained_sheets, fake_split):
    with pytest.raises(InputError, match="that fits on 64x4 pixels"):
        stains_to_paste(stained_sheets, fake_split, 0.5, PARAMETERS, (64, 4))


def test_without_a_detector_it_is_refused(stained_sheets, fake_split):
    with pytest.raises(InputError, match=r"data_processing\.white_stains"):
        stains_to_paste(stained_sheets, fake_split, 0.5, None, SIZE)


def test_share_of_pasted_pictures_is_the_probability():
    pictures = np.full((1000, 1, 12, 16), 100, np.uint8)
    paste_at_random(pictures, [block()], 0.3, np.random.default_rng(0))
    assert (pictures.max(axis=(1, 2, 3)) == 250).mean() == pytest.approx(0.3, abs=0.04)
    untouched = np.full((5, 1, 12, 16), 100, np.uint8)
    paste_at_random(untouched, [block()], 0, np.random.default_rng(0))
    assert (untouched == 100).all()


def test_stains_are_whole_anywhere_and_mirrored_half_of_the_time():
    pictures = np.full((200, 1, 12, 16), 100, np.uint8)
    paste_at_random(pictures, [block()], 1, np.random.default_rng(0))
    assert ((pictures == 250).sum(axis=(1, 2, 3)) == 18).all()
    assert ((pictures == 175).sum(axis=(1, 2, 3)) == 6).all()
    columns = [picture[0].max(axis=0).tolist() for picture in pictures]
    mirrored = [column.index(175) > column.index(250) for column in columns]
    assert 0.35 < np.mean(mirrored) < 0.65
    places = {(int(np.argmax(p[0].max(axis=1) > 100)), int(np.argmax(p[0].max(axis=0) > 100))) for p in pictures}
    assert {top for top, _ in places} == set(range(7))
    assert {left for _, left in places} == set(range(13))


def test_stain_that_a_border_cut_stays_at_the_border():
    for stain, row in ((block(at_top=True), 0), (block(at_bottom=True), 6)):
        pictures = np.full((20, 1, 12, 16), 100, np.uint8)
        paste_at_random(pictures, [stain], 1, np.random.default_rng(0))
        assert all(int(np.argmax(picture[0].max(axis=1) > 100)) == row for picture in pictures)


def test_black_ends_stay_black():
    pictures = np.full((50, 1, 12, 40), 100, np.uint8)
    pictures[..., 10:] = 2
    paste_at_random(pictures, [block()], 1, np.random.default_rng(0))
    assert (pictures[..., 10:] == 2).all()
    assert (pictures[..., :10] == 250).any(axis=(1, 2, 3)).mean() > 0.5


class Recorder(torch.nn.Module):
    """A linear network that remembers the brightest pixel of every picture it saw."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.brightest = []

    def forward(self, images):
        self.brightest += images.detach().amax(dim=(1, 2, 3)).tolist()
        return self.linear(images.mean(dim=(2, 3)))


def brightest_in_epoch(sheets, split, parameters, stains, epoch=1):
    changes = {"learning_rate": 0.1, "random_flips": True, "noise": 0}
    train = Examples.of(split, "train")
    task = Task(
        sheets,
        train,
        train,
        parameters.model_copy(update=changes),
        one_class(train.labels, 2, "none"),
        0,
        torch.device("cpu"),
        stains,
        0.5,
    )
    network = Recorder()
    train_epoch(network, torch.optim.SGD(network.parameters()), task, epoch, tqdm(disable=True))
    return np.array(network.brightest)


def test_training_shows_stains_on_about_the_asked_share_of_examples(fake_split, training_parameters):
    sheets = np.full((60, 1, 64, 40), 100, np.uint8)
    seen = brightest_in_epoch(sheets, fake_split, training_parameters, [block()])
    assert 0.25 < (seen > 1).mean() < 0.75
    assert len(np.unique(brightest_in_epoch(sheets, fake_split, training_parameters, []))) == 1
    np.testing.assert_array_equal(seen, brightest_in_epoch(sheets, fake_split, training_parameters, [block()]))
    other_epoch = brightest_in_epoch(sheets, fake_split, training_parameters, [block()], epoch=2)
    assert not np.array_equal(seen, other_epoch)
    assert (sheets == 100).all()


@pytest.fixture
def train(stained_sheets, fake_split, training_parameters, tmp_path):
    def run(folder, **changes):
        masks = np.zeros((60, 64, 40), np.uint8)
        masks[1::2, 20:36, 10:26] = 1
        return train_classifier(
            stained_sheets,
            fake_split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update={"epochs": 3, "stain_augmentation": 0.5, **changes}),
            seed=5,
            folder=tmp_path / folder,
            data_source="fake",
            masks=masks,
            white_stains=PARAMETERS,
        )[0].network.state_dict()

    return run


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_augmented_training_resumes_bit_for_bit_and_differs_from_plain(train, monkeypatch):
    whole = train("whole")
    calls = []

    def killed(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("killed")
        return validate_epoch(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate_epoch", killed)
        with pytest.raises(OSError, match="killed"):
            train("part")
    assert same(train("part"), whole)
    assert not same(train("plain", stain_augmentation=0), whole)


def test_windows_get_stains_too(train):
    patches = PatchParameters(count=2, size=(64, 32), black_level=16, max_black=0.5)
    assert not same(train("with", patches=patches), train("without", patches=patches, stain_augmentation=0))
