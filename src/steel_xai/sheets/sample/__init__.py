"""The synthetic sample: generated sheets in the layout of the Kaggle data, with planted, known effects."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from steel_xai.errors import InputError
from steel_xai.parameters import BlackEndRate, SampleParameters
from steel_xai.sheets.sample.fields import HEIGHT, WIDTH
from steel_xai.sheets.sample.plan import Frame, Strip, plan_sample
from steel_xai.staging import is_running

__all__ = ["GENERATOR_VERSION", "MANIFEST", "STAIN_LIST", "check_layout", "generate_sample", "is_current"]

GENERATOR_VERSION = 1
"""Rises with every change of the generated pictures, so that older samples are made anew."""

MANIFEST = "sample.json"
STAIN_LIST = "stained_sheets.csv"
"""Which sheets carry stains, by the user, who may put it into the folder of a source."""
USERS_OWN = (STAIN_LIST, "attribute.csv")
"""Files of the user in the folder of a source; a new sample keeps them."""
N_CLASSES = 4
JPEG_QUALITY = 88


def generate_sample(folder: Path, parameters: SampleParameters) -> None:
    """Write a synthetic sample in the Kaggle layout into ``folder``, replacing an earlier sample.

    Writes ``train.csv`` (``ImageId,ClassId,EncodedPixels``), ``train_images/*.jpg`` and ``test_images/*.jpg``
    (1600 x 256, R = G = B), ``truth.csv`` (what was planted; never an input of training) and last ``sample.json``,
    the manifest. All of it is built beside ``folder`` and renamed into place, so a killed run leaves no half sample.
    The user's own ``stained_sheets.csv`` and ``attribute.csv`` in an earlier sample are kept.
    The same parameters give the same files, whatever the number of workers.

    Raises:
        InputError: ``folder`` holds files that are no generated sample.
    """
    if (
        folder.exists()
        and not (folder / MANIFEST).exists()
        and any(not p.name.startswith(".") for p in folder.iterdir())
    ):
        raise InputError(
            f"{folder} holds files that are no generated sample, so no sample is written there; "
            "move them to a source of their own, or remove the folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    partial = folder.with_name(f".{folder.name}.partial-{os.getpid()}")
    try:
        _write(partial, parameters)
        _replace(folder, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_layout(class_names: list[str], raw_size: tuple[int, int]) -> None:
    """Raise InputError if a project configured so cannot read the sample: it has four classes at 256 x 1600 pixels."""
    if len(class_names) != N_CLASSES or raw_size != (HEIGHT, WIDTH):
        raise InputError(
            f"the sample has {N_CLASSES} classes on sheets of {HEIGHT}x{WIDTH}, but globals.yml states "
            f"{len(class_names)} class_names and raw_size {list(raw_size)}; state those of the sample, "
            "or the data_source that they belong to"
        )


def is_current(folder: Path, parameters: SampleParameters) -> bool:
    """Whether ``folder`` holds a complete sample of these parameters (``n_jobs`` aside) by this generator."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(found == _manifest(parameters))


def _manifest(parameters: SampleParameters) -> dict[str, Any]:
    return {
        "generator_version": GENERATOR_VERSION,
        "parameters": parameters.model_dump(mode="json", exclude={"n_jobs"}),
    }


def _write(folder: Path, parameters: SampleParameters) -> None:
    from joblib import Parallel, delayed
    from tqdm import tqdm

    for name in ("train_images", "test_images"):
        (folder / name).mkdir(parents=True)
    plan = plan_sample(parameters)
    calls = (
        delayed(_write_strip)(
            folder, parameters.seed, strip, frames, parameters.black_end_rate, parameters.class_2_edge_rate
        )
        for strip, frames in plan
    )
    n_images = sum(len(frames) for _, frames in plan)
    truth: list[dict[str, Any]] = []
    with tqdm(total=n_images, desc="sample sheets", unit="sheet") as progress:
        for rows in Parallel(n_jobs=parameters.n_jobs, return_as="generator", batch_size=4)(calls):
            truth += rows
            progress.update(len(rows))

    table = pd.DataFrame(truth).sort_values("ImageId", ignore_index=True)
    labelled = table[table["folder"] == "train_images"]
    _annotations(labelled).to_csv(folder / "train.csv", index=False)
    table.drop(columns="rle").rename(columns={"ImageId": "image_id"}).to_csv(folder / "truth.csv", index=False)
    (folder / MANIFEST).write_text(json.dumps(_manifest(parameters), indent=2) + "\n", encoding="utf-8")


def _annotations(table: pd.DataFrame) -> pd.DataFrame:
    rows = [
        (image_id, class_id, text)
        for image_id, masks in zip(table["ImageId"], table["rle"], strict=True)
        for class_id, text in masks.items()
    ]
    return pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"])


def _write_strip(
    folder: Path,
    seed: int,
    strip: Strip,
    frames: list[Frame],
    black_end_rate: BlackEndRate,
    class_2_edge_rate: float,
) -> list[dict[str, Any]]:
    """Write the pictures of one strip; returns a row of truth for each."""
    import cv2

    from steel_xai.sheets.rle import encode_rle
    from steel_xai.sheets.sample.sheet import draw_strip

    rows = []
    for frame, picture in zip(frames, draw_strip(seed, strip, black_end_rate, class_2_edge_rate), strict=True):
        path = folder / strip.folder / frame.image_id
        rgb = cv2.cvtColor(picture.grey, cv2.COLOR_GRAY2BGR)
        _, content = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        path.write_bytes(content.tobytes())  # OpenCV would not say why a full disk takes no more
        masks = {k: encode_rle(mask) for k, mask in enumerate(picture.masks, start=1) if mask.any()}
        rows.append(
            {
                "ImageId": frame.image_id,
                "folder": strip.folder,
                "classes": "+".join(map(str, masks)),
                "white_stain": int(picture.stain_area > 0),
                "stain_area": picture.stain_area,
                "black_end": picture.black_end.side if picture.black_end else "",
                "black_width": picture.black_end.width if picture.black_end else 0,
                "class_2_near_edge": int(picture.class_2_near_edge),
                "strip": strip.number,
                "duplicate_of": frames[0].image_id if frame.number else "",
                "rle": masks,
            }
        )
    return rows


def _replace(folder: Path, complete: Path) -> None:
    """Put the complete sample in the folder's place; an earlier one goes only once the new one is whole."""
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    if folder.exists():
        for name in USERS_OWN:
            if (folder / name).is_file():
                shutil.copy2(folder / name, complete)
        folder.rename(old)
    complete.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left behind; a run that is still alive keeps its files.

    An earlier sample whose successor never took its place comes back, for the user's own files are in it.
    """
    for path in _leftovers(folder):
        if path.name.startswith(f".{folder.name}.old-") and not folder.exists():
            path.rename(folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _leftovers(folder: Path) -> Iterator[Path]:
    for path in folder.parent.glob(f".{folder.name}.*-*"):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and not is_running(int(pid)):
            yield path
