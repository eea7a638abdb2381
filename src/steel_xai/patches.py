"""Training on windows of the sheets, and the sheet's prediction put together from those of its windows."""

import math
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import nn

from steel_xai.array_file import ArrayFile
from steel_xai.batches import IMAGENET_MEAN, IMAGENET_STD
from steel_xai.errors import InputError
from steel_xai.parameters import PatchParameters
from steel_xai.sheets.splits import LabelKind

WINDOWS = "windows.npy"

_SHEETS_AT_ONCE = 128

Grey = TypeVar("Grey", np.ndarray, torch.Tensor)


def window_offsets(sheet_size: tuple[int, int], patches: PatchParameters) -> list[tuple[int, int]]:
    """Spread the windows evenly over the width, from the left edge to the right one, and centre them vertically.

    A single window lies in the middle. A sheet flipped left-right has its windows at the same places: they are
    symmetric, but for the half pixel that an odd remainder leaves to a window in the middle.

    Returns:
        Top and left of each window, in pixels, from left to right.

    Raises:
        InputError: A window is larger than a sheet.
    """
    free_rows, free_columns = (sheet - window for sheet, window in zip(sheet_size, patches.size, strict=True))
    if min(free_rows, free_columns) < 0:
        raise InputError(
            f"training.patches.size: windows of {patches.size[0]}x{patches.size[1]} pixels do not fit into sheets of "
            f"{sheet_size[0]}x{sheet_size[1]}; make them smaller, or set training.patches: null"
        )
    # Rounding alone would not be symmetric, because it goes to the even neighbour of a half.
    left_half = np.linspace(0, free_columns, patches.count)[: patches.count // 2].round().astype(int).tolist()
    middle = [free_columns // 2] if patches.count % 2 else []
    right_half = [free_columns - left for left in reversed(left_half)]
    return [(free_rows // 2, left) for left in (*left_half, *middle, *right_half)]


def cut_windows(
    sheets: np.ndarray,
    masks: np.ndarray,
    split: pd.DataFrame,
    patches: PatchParameters,
    *,
    labels: LabelKind,
    folder: Path,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Cut the training and validation sheets into windows, without the black ones; test sheets stay whole.

    A window's label is what its own mask says, 0 where no defect reaches into it. All windows of a sheet are in the
    sheet's split, and each copy of a sheet becomes copies of its windows with the same flips.

    Args:
        sheets: uint8 [N, C, h, w] with C 1 or 3; may be memory-mapped.
        masks: uint8 bit field [N, h, w], bit k-1 = class k.
        split: The columns ``row, image_id, label, split, copy, flip_h, flip_v``.
        patches: Number and size of the windows, and which are black.
        labels: ``any_defect``: 1 with any mask pixel; ``single_class``: the class with the most mask pixels.
        folder: Where the windows are written, sheet by sheet, so that memory does not grow with their number.

    Returns:
        The windows, uint8 [M, C, ph, pw], memory-mapped, and a split of them with the same columns as ``split``:
        ``row`` is the window's.

    Raises:
        InputError: There are no masks, a window is larger than a sheet, all windows of a split are black, or the
            windows cannot be written.
    """
    if not len(masks):
        raise InputError(
            "training.patches: a window's label comes from its mask, but train.csv gives labels without masks; "
            "give it the columns ImageId,ClassId,EncodedPixels or ImageId_ClassId,EncodedPixels, "
            "or set training.patches: null"
        )
    offsets = window_offsets((sheets.shape[2], sheets.shape[3]), patches)
    examples = split[split["split"].isin(["train", "validation"])]
    rows = np.unique(examples["row"])
    window_rows: list[int] = []
    window_labels: list[int] = []
    with ArrayFile(folder / WINDOWS, np.uint8, (sheets.shape[1], *patches.size)) as file:
        for start in range(0, len(rows), _SHEETS_AT_ONCE):
            part = rows[start : start + _SHEETS_AT_ONCE]
            windows = _cut(sheets[part], offsets, patches.size)  # (n, count, C, ph, pw)
            kept = ~_are_black(windows.mean(axis=2, dtype=np.float32), patches)
            file.append(windows[kept])
            window_rows += np.repeat(part, kept.sum(axis=1)).tolist()
            window_labels += _labels(_cut(masks[part], offsets, patches.size)[kept], labels).tolist()
    windows_of = pd.DataFrame({"row": window_rows, "label": window_labels, "window": np.arange(len(window_rows))})
    window_split = examples.drop(columns="label").merge(windows_of, on="row")
    window_split["row"] = window_split.pop("window")
    array = _map_unnamed(folder / WINDOWS)
    for name in ("train", "validation"):
        if not (window_split["split"] == name).any():
            raise InputError(
                f"training.patches: every window of the {name} sheets is black; lower training.patches.black_level, "
                "or raise training.patches.max_black"
            )
    return array, window_split[split.columns]


class SheetFromWindows(nn.Module):
    """A network of windows as a network of sheets: normalised images [B, 3, h, w] to log-probabilities [B, K].

    A sheet has a defect if one of its windows has, and none only if all windows have none: the standard assumption of
    multiple-instance learning (Dietterich et al. 1997), here as max pooling (Ilse et al. 2018). With p_k,i the
    probability of class k in window i, and class 0 "no defect"::

        p_k = max_i p_k,i  (k >= 1),    p_0 = min_i p_0,i,    divided by their sum

    For two classes the sum is 1 already. Black windows, on which the network was not trained, do not count, unless
    all are black.

    Attributes:
        windows: The network of windows, normalised images [B, 3, ph, pw] to logits [B, K].
    """

    def __init__(self, network: nn.Module, patches: PatchParameters) -> None:
        super().__init__()
        self.windows = network
        self.patches = patches

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Predict sheets from all their windows in one batch."""
        offsets = window_offsets((images.shape[2], images.shape[3]), self.patches)
        # Cut with the channels last in memory, which is how the networks are fastest.
        windows = _cut_tensor(images.permute(0, 2, 3, 1), offsets, self.patches.size)  # (B, count, ph, pw, 3)
        logits = self.windows(windows.flatten(0, 1).permute(0, 3, 1, 2))
        log_p = torch.log_softmax(logits.float(), dim=1).reshape(*windows.shape[:2], -1)  # (B, count, K)
        black = self._black(windows)
        ignored = (black & ~black.all(dim=1, keepdim=True)).unsqueeze(2)
        no_defect = log_p[:, :, :1].masked_fill(ignored, math.inf).amin(dim=1)
        defects = log_p[:, :, 1:].masked_fill(ignored, -math.inf).amax(dim=1)
        return torch.log_softmax(torch.cat([no_defect, defects], dim=1), dim=1)

    def _black(self, windows: torch.Tensor) -> torch.Tensor:
        """Tell which windows [B, count, ph, pw, 3] are black, from normalised values."""
        mean = torch.tensor(IMAGENET_MEAN, device=windows.device)
        std = torch.tensor(IMAGENET_STD, device=windows.device)
        return _are_black((windows.detach() * std + mean).mean(dim=-1) * 255, self.patches)


def _are_black(grey: Grey, patches: PatchParameters) -> Grey:
    """Tell which windows [..., ph, pw] of grey levels have too many dark pixels."""
    least = math.ceil(round(patches.max_black * math.prod(patches.size), 6))
    # Means of one or three bytes are thirds of whole numbers: the margin makes up for rounding, so that windows are
    # dropped alike before training and within the network.
    dark = grey < patches.black_level - 1 / 6
    black: Grey = dark.sum((-2, -1)) >= least
    return black


def _labels(masks: np.ndarray, labels: LabelKind) -> np.ndarray:
    """Label windows by their masks, a uint8 bit field [M, ph, pw]; the lowest of equally large classes counts."""
    pixels = np.stack([np.count_nonzero(masks & (1 << bit), axis=(1, 2)) for bit in range(8)], axis=1)
    largest = pixels.argmax(axis=1) + 1 if labels == "single_class" else 1
    return np.where(pixels.any(axis=1), largest, 0)


def _cut(pictures: np.ndarray, offsets: list[tuple[int, int]], size: tuple[int, int]) -> np.ndarray:
    """Cut pictures [n, ..., h, w] into windows [n, count, ..., ph, pw]."""
    height, width = size
    return np.stack([pictures[..., top : top + height, left : left + width] for top, left in offsets], axis=1)


def _cut_tensor(images: torch.Tensor, offsets: list[tuple[int, int]], size: tuple[int, int]) -> torch.Tensor:
    """Cut images [B, h, w, 3] into windows [B, count, ph, pw, 3]."""
    height, width = size
    return torch.stack([images[:, top : top + height, left : left + width] for top, left in offsets], dim=1)


def _map_unnamed(path: Path) -> np.ndarray:
    """Map an array and take its name from the folder, so that its disk space is freed with the map, or by a kill."""
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    with suppress(PermissionError):  # where a mapped file cannot lose its name, the next run overwrites it
        path.unlink()
    return array
