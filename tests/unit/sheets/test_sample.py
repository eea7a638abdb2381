import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from steel_xai.errors import InputError
from steel_xai.parameters import BlackEndRate, SampleParameters
from steel_xai.sheets import sample
from steel_xai.sheets.rle import decode_rle
from steel_xai.sheets.sample import check_layout, generate_sample, is_current
from steel_xai.sheets.sample.plan import Strip, plan_sample
from steel_xai.sheets.sample.sheet import draw_strip

N = 22
PARAMETERS = SampleParameters.model_validate(
    {
        "seed": 3,
        "n_sheets": N,
        "n_unlabelled": 2,
        "class_shares": {"none": 0.4, "1": 0.15, "2": 0.15, "3": 0.1, "4": 0.1, "several": 0.1},
        "near_duplicate_rate": 0.1,
        "stain_rate": {"defect_free": 0.5, "defective": 0.1},
        "black_end_rate": {"left": 0.2, "right": 0.2},
        "class_2_edge_rate": 1.0,
        "n_jobs": 1,
    }
)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def grey_of(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image


def masks_of(folder: Path) -> dict[tuple[str, int], np.ndarray]:
    table = pd.read_csv(folder / "train.csv")
    return {
        (row.ImageId, row.ClassId): decode_rle(row.EncodedPixels, 256, 1600) for row in table.itertuples(index=False)
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("raw") / "sample"
    generate_sample(target, PARAMETERS)
    return target


@pytest.fixture(scope="module")
def truth(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "truth.csv", keep_default_na=False)


def test_sample_has_the_kaggle_layout(folder: Path):
    table = pd.read_csv(folder / "train.csv")
    images = {path.name for path in (folder / "train_images").iterdir()}
    assert list(table.columns) == ["ImageId", "ClassId", "EncodedPixels"]
    assert len(images) == N
    assert set(table["ImageId"]) <= images
    assert set(table["ClassId"]) == {1, 2, 3, 4}
    assert not table.duplicated(["ImageId", "ClassId"]).any()
    assert len(list((folder / "test_images").iterdir())) == 2


def test_images_are_grey_jpeg_of_the_raw_size(folder: Path):
    for path in folder.glob("*_images/*.jpg"):
        assert path.read_bytes()[:2] == b"\xff\xd8"
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert image.shape == (256, 1600, 3)
        assert (image[..., 0] == image[..., 1]).all()
        assert (image[..., 0] == image[..., 2]).all()


def test_every_annotated_mask_has_pixels_on_the_sheet(folder: Path):
    for (image_id, _), mask in masks_of(folder).items():
        grey = grey_of(folder / "train_images" / image_id)
        assert mask.sum() >= 30
        assert np.median(grey[mask == 1]) > 12


def test_masks_of_one_sheet_do_not_overlap(folder: Path):
    masks = masks_of(folder)
    for image_id in {image_id for image_id, _ in masks}:
        assert np.sum([mask for (name, _), mask in masks.items() if name == image_id], axis=0).max() == 1


def test_truth_agrees_with_the_annotations(folder: Path, truth: pd.DataFrame):
    annotated = {name: sorted(k for other, k in masks_of(folder) if other == name) for name, _ in masks_of(folder)}
    train = truth[truth["folder"] == "train_images"]
    planted = {row.image_id: sorted(map(int, row.classes.split("+"))) for row in train.itertuples() if row.classes}
    assert planted == annotated
    assert set(truth["image_id"]) == {path.name for path in folder.glob("*_images/*.jpg")}


def test_stains_are_planted_at_the_given_rates(truth: pd.DataFrame):
    strips = truth[(truth["folder"] == "train_images") & (truth["duplicate_of"] == "")]
    for defect_free, rate in ((True, 0.5), (False, 0.1)):
        group = strips[(strips["classes"] == "") == defect_free]
        assert group["white_stain"].sum() == round(rate * len(group))


def test_stains_are_white_and_off_the_masks(folder: Path, truth: pd.DataFrame):
    for row in truth[(truth["white_stain"] == 1) & (truth["folder"] == "train_images")].itertuples():
        grey = grey_of(folder / "train_images" / row.image_id)
        white = np.asarray(grey > 215)
        for (name, _), mask in masks_of(folder).items():
            if name == row.image_id:
                white &= mask == 0
        assert white.sum() > 0.7 * row.stain_area > 70


def test_no_sheet_is_stained_when_the_rates_are_zero(tmp_path: Path):
    off = PARAMETERS.model_copy(
        update={"stain_rate": PARAMETERS.stain_rate.model_copy(update={"defect_free": 0, "defective": 0})}
    )
    generate_sample(tmp_path / "sample", off)
    truth = pd.read_csv(tmp_path / "sample" / "truth.csv")
    assert truth["white_stain"].sum() == 0
    assert truth["stain_area"].sum() == 0


def test_class_2_lies_near_the_black_edge(folder: Path, truth: pd.DataFrame):
    rows = truth.set_index("image_id")
    masks = {name: mask for (name, k), mask in masks_of(folder).items() if k == 2}
    assert len(masks) >= 3
    for name, mask in masks.items():
        row = rows.loc[name]
        columns = np.flatnonzero(mask.any(axis=0))
        edge = row["black_width"] if row["black_end"] == "left" else 1600 - row["black_width"]
        assert row["class_2_near_edge"] == 1
        assert np.abs(columns - edge).min() >= 15
        assert np.abs(columns - edge).max() <= 95


def test_class_2_lies_anywhere_when_the_effect_is_off():
    no_ends = BlackEndRate(left=0, right=0)
    pictures = [draw_strip(3, Strip(i, (2,), False, 1, "train_images"), no_ends, 0.0)[0] for i in range(10)]
    assert not any(picture.class_2_near_edge or picture.black_end for picture in pictures)
    assert np.ptp([np.flatnonzero(picture.masks[1].any(axis=0)).mean() for picture in pictures]) > 800


def test_black_ends_are_black_up_to_their_edge(folder: Path, truth: pd.DataFrame):
    ended = truth[truth["black_end"] != ""]
    assert len(ended)
    for row in ended.itertuples():
        grey = grey_of(folder / row.folder / row.image_id)
        seen = grey if row.black_end == "left" else grey[:, ::-1]
        assert seen[:, : row.black_width - 16].mean() < 6
        assert seen[:, row.black_width + 16 : row.black_width + 60].mean() > 15


def test_near_duplicate_is_the_same_strip_moved_along(folder: Path, truth: pd.DataFrame):
    pairs = truth[truth["duplicate_of"] != ""]
    rows = truth.set_index("image_id")
    assert len(pairs) == round(0.1 * N)
    for row in pairs.itertuples():
        original = rows.loc[row.duplicate_of]
        assert (row.classes, row.white_stain, row.strip) == (
            original["classes"],
            original["white_stain"],
            original["strip"],
        )
        first, second = (
            grey_of(folder / row.folder / name).astype(np.float32) for name in (row.duplicate_of, row.image_id)
        )
        assert np.abs(first - second).max() > 0
        best = max(np.corrcoef(first[d:].ravel(), second[: 256 - d].ravel())[0, 1] for d in range(49))
        assert best > 0.8


def test_names_do_not_tell_the_class(truth: pd.DataFrame):
    assert truth["image_id"].str.fullmatch(r"[0-9a-f]{9}\.jpg").all()
    assert truth["image_id"].is_monotonic_increasing
    labels = (truth["classes"] != "").to_numpy()
    assert (np.diff(labels.astype(int)) != 0).sum() > 4


def test_same_seed_gives_the_same_files_with_any_number_of_workers(folder: Path, tmp_path: Path):
    generate_sample(tmp_path / "sample", PARAMETERS.model_copy(update={"n_jobs": 2}))
    assert files_of(tmp_path / "sample") == files_of(folder)


def test_another_seed_gives_other_sheets_under_other_names():
    first, other = (plan_sample(PARAMETERS.model_copy(update={"seed": seed})) for seed in (3, 4))
    names = [{frame.image_id for _, frames in plan for frame in frames} for plan in (first, other)]
    assert len(names[0]) == len(names[1]) == N + 2
    assert names[0].isdisjoint(names[1])
    strip = Strip(0, (), False, 1, "train_images")
    greys = [draw_strip(seed, strip, PARAMETERS.black_end_rate, 0.0)[0].grey for seed in (3, 4)]
    assert (greys[0] != greys[1]).mean() > 0.5


def test_sample_is_current_for_its_own_parameters_only(folder: Path, tmp_path: Path):
    assert is_current(folder, PARAMETERS)
    assert is_current(folder, PARAMETERS.model_copy(update={"n_jobs": 4}))
    assert not is_current(folder, PARAMETERS.model_copy(update={"seed": 4}))
    assert not is_current(tmp_path, PARAMETERS)


def test_sample_of_another_generator_is_not_current(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sample, "GENERATOR_VERSION", sample.GENERATOR_VERSION + 1)
    assert not is_current(folder, PARAMETERS)


def test_broken_manifest_is_not_current(tmp_path: Path):
    (tmp_path / "sample.json").write_text("{", encoding="utf-8")
    assert not is_current(tmp_path, PARAMETERS)


def test_failed_run_leaves_no_half_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written = []

    def write_two_then_fail(path: Path, _: bytes) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write_two_then_fail)
    with pytest.raises(OSError, match="No space left on device"):
        generate_sample(tmp_path / "sample", PARAMETERS)
    assert len(written) == 3
    assert list(tmp_path.iterdir()) == []


def test_failed_run_keeps_the_earlier_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "sample"
    target.mkdir()
    (target / "sample.json").write_text(json.dumps({"earlier": True}), encoding="utf-8")

    def fail(path: Path, _: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left on device"):
        generate_sample(target, PARAMETERS)
    assert json.loads((target / "sample.json").read_text(encoding="utf-8")) == {"earlier": True}


@pytest.fixture
def quick_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the drawing: a sample of one file."""

    def write(folder: Path, _: SampleParameters) -> None:
        folder.mkdir()
        (folder / "sample.json").write_text("new", encoding="utf-8")

    monkeypatch.setattr(sample, "_write", write)


@pytest.mark.usefixtures("quick_write")
def test_new_sample_replaces_the_earlier_one_whole(tmp_path: Path):
    target = tmp_path / "sample"
    (target / "train_images").mkdir(parents=True)
    (target / "sample.json").write_text("{}", encoding="utf-8")
    (target / "train_images" / "old.jpg").write_bytes(b"")
    generate_sample(target, PARAMETERS)
    assert files_of(tmp_path) == {"sample/sample.json": b"new"}


@pytest.mark.usefixtures("quick_write")
@pytest.mark.parametrize("name", ["stained_sheets.csv", "attribute.csv"])
def test_new_sample_keeps_the_users_own_lists(tmp_path: Path, name: str):
    target = tmp_path / "sample"
    target.mkdir()
    (target / "sample.json").write_text("{}", encoding="utf-8")
    (target / name).write_text("mine", encoding="utf-8")
    (target / "notes.txt").write_text("old", encoding="utf-8")
    generate_sample(target, PARAMETERS)
    assert files_of(tmp_path) == {"sample/sample.json": b"new", f"sample/{name}": b"mine"}


@pytest.mark.usefixtures("quick_write")
def test_users_own_lists_come_back_from_a_run_that_was_killed_between_its_two_renames(tmp_path: Path):
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    old = tmp_path / f".sample.old-{finished.pid}"
    old.mkdir()
    (old / "sample.json").write_text("{}", encoding="utf-8")
    (old / "stained_sheets.csv").write_text("mine", encoding="utf-8")
    generate_sample(tmp_path / "sample", PARAMETERS)
    assert files_of(tmp_path) == {"sample/sample.json": b"new", "sample/stained_sheets.csv": b"mine"}


@pytest.mark.usefixtures("quick_write")
def test_leftovers_of_a_killed_run_are_removed_and_those_of_a_running_one_kept(tmp_path: Path):
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    dead, alive = (tmp_path / f".sample.partial-{pid}" for pid in (finished.pid, os.getppid()))
    dead.mkdir()
    alive.mkdir()
    generate_sample(tmp_path / "sample", PARAMETERS)
    assert not dead.exists()
    assert alive.exists()


def test_folder_with_other_data_is_refused_and_untouched(tmp_path: Path):
    (tmp_path / "train.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="no generated sample"):
        generate_sample(tmp_path, PARAMETERS)
    assert files_of(tmp_path) == {"train.csv": b"mine"}


@pytest.mark.parametrize(("names", "size"), [(["a"] * 3, (256, 1600)), (["a"] * 4, (200, 200))])
def test_project_of_another_layout_cannot_use_the_sample(names: list[str], size: tuple[int, int]):
    with pytest.raises(InputError, match="data_source"):
        check_layout(names, size)


def test_project_of_the_kaggle_layout_can_use_the_sample():
    check_layout(["a", "b", "c", "d"], (256, 1600))
