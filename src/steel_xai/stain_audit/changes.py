"""Changed sheets: a stain pasted on, or stains inpainted, and as controls the same done with plain steel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit.material import Material, Rows
from steel_xai.stain_audit.placement import draw_place, free_steel
from steel_xai.stain_audit.stains import (
    Mask,
    Sheet,
    Stain,
    clusters,
    paint_over,
    paste,
    whole_stains,
    widened,
)
from steel_xai.white_stains import detect_white_stains

_TRIES = 20
"""Stains, or sheets to cut plain steel from, that are tried before a sheet is left out."""


@dataclass(frozen=True)
class Changed:
    """Sheets ``rows`` [n] before and after a treatment and its control, uint8 [n, C, h, w] each.

    ``where`` bool [n, h, w] marks the pixels that the treatment changes; ``asked`` counts the sheets that were to be
    changed, those without a fitting place among them.
    """

    rows: Rows
    before: Sheet
    treated: Sheet
    control: Sheet
    where: Mask
    asked: int

    def take(self, chosen: NDArray[np.bool_]) -> "Changed":
        """Select sheets by flags [n]."""
        return Changed(
            rows=self.rows[chosen],
            before=self.before[chosen],
            treated=self.treated[chosen],
            control=self.control[chosen],
            where=self.where[chosen],
            asked=self.asked,
        )


@dataclass(frozen=True)
class _Result:
    treated: Sheet
    control: Sheet
    where: Mask


def paste_stains(
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    rows: Rows,
    material: Material,
    *,
    seed: int,
    n_stains: int = 1,
) -> Changed:
    """Paste stains on sheets, off their defects and black ends; the control is plain steel in the very same shapes.

    Stains are at random places, drawn from the seed and the sheet's row: of two numbers of stains, the larger only adds
    to the smaller one's. The plain steel is of other sheets, at the same height on the sheet, since brightness
    depends on it, and blended in with the same opacity.

    Args:
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        rows: Of the sheets to change.
        material: Stains and sheets of plain steel.
        seed: Of the draws.
        n_stains: On each sheet; they do not overlap.

    Returns:
        The sheets that have room for all stains, in the order of ``rows``.
    """

    def change(row: int) -> _Result | None:
        sheet = np.array(sheets[row])
        return _paste(sheet, masks[row], sheets, material, np.random.default_rng([seed, row]), n_stains)

    return _changed(sheets, rows, {int(row): change(int(row)) for row in rows})


def remove_stains(sheets: NDArray[np.uint8], rows: Rows, parameters: StainDetectionParameters, *, seed: int) -> Changed:
    """Inpaint the stains of sheets away; the control inpaints steel in the same shapes elsewhere on the same sheet.

    Args:
        sheets: uint8 [N, C, h, w].
        rows: Of the stained sheets.
        parameters: Of the detector.
        seed: Of the control's places, drawn for each row.

    Returns:
        The sheets on which the detector finds stains and whose steel has room for the control.
    """

    def change(row: int) -> _Result | None:
        return _remove(np.array(sheets[row]), parameters, np.random.default_rng([seed, row]))

    return _changed(sheets, rows, {int(row): change(int(row)) for row in rows})


def _changed(sheets: NDArray[np.uint8], rows: Rows, results: dict[int, _Result | None]) -> Changed:
    done = {row: result for row, result in results.items() if result is not None}
    changed, size = np.array(list(done), dtype=np.int64), sheets.shape[1:]
    return Changed(
        rows=changed,
        before=np.array(sheets[changed]),
        treated=np.array([result.treated for result in done.values()], dtype=np.uint8).reshape(-1, *size),
        control=np.array([result.control for result in done.values()], dtype=np.uint8).reshape(-1, *size),
        where=np.array([result.where for result in done.values()], dtype=bool).reshape(-1, *size[1:]),
        asked=len(rows),
    )


def _paste(
    sheet: Sheet,
    mask: NDArray[np.uint8],
    sheets: NDArray[np.uint8],
    material: Material,
    rng: np.random.Generator,
    n_stains: int,
) -> _Result | None:
    treated, control = sheet, sheet.copy()
    free = free_steel(sheet, mask)
    where = np.zeros_like(free)
    for _ in range(n_stains):
        found = _fitting_stain(rng, free, material.stains)
        if found is None:
            return None
        stain, (top, left) = found
        plain = _plain_steel(rng, sheets, material.plain, stain.shape, top)
        if plain is None:
            return None
        paste(treated, stain.pixels, stain.opacity, top, left)
        paste(control, plain, stain.opacity, top, left)
        _box(free, stain.shape, top, left)[stain.shape] = False
        _box(where, stain.shape, top, left)[stain.opacity >= 0.5] = True
    return _Result(treated, control, where)


def _fitting_stain(rng: np.random.Generator, free: Mask, stains: list[Stain]) -> tuple[Stain, tuple[int, int]] | None:
    """Draw a stain and a place for it."""
    for number in rng.permutation(len(stains))[:_TRIES]:
        stain = stains[number]
        top = 0 if stain.at_top else free.shape[0] - stain.shape.shape[0] if stain.at_bottom else None
        place = draw_place(rng, free, stain.shape, top=top)
        if place is not None:
            return stain, place
    return None


def _plain_steel(
    rng: np.random.Generator, sheets: NDArray[np.uint8], rows: Rows, shape: Mask, top: int
) -> Sheet | None:
    """Cut plain steel [C, a, b] for a shape [a, b] out of one of the sheets ``rows``, at the given height."""
    for row in rng.permutation(rows)[:_TRIES]:
        sheet = np.asarray(sheets[row])
        place = draw_place(rng, free_steel(sheet, np.zeros(sheet.shape[1:], np.uint8)), shape, top=top)
        if place is not None:
            left = place[1]
            return sheet[:, top : top + shape.shape[0], left : left + shape.shape[1]]
    return None


def _remove(sheet: Sheet, parameters: StainDetectionParameters, rng: np.random.Generator) -> _Result | None:
    found = detect_white_stains(sheet[None], parameters)[0]
    if not found.any():
        return None
    stained = widened(whole_stains(sheet, found, parameters), 1)
    free = free_steel(sheet, np.zeros(stained.shape, np.uint8)) & ~stained
    elsewhere = np.zeros_like(stained)
    for cluster in clusters(stained):
        rows, columns = np.flatnonzero(cluster.any(axis=1)), np.flatnonzero(cluster.any(axis=0))
        shape = cluster[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        place = draw_place(rng, free, shape)
        if place is None:
            return None
        for picture, value in ((free, False), (elsewhere, True)):
            _box(picture, shape, *place)[shape] = value
    return _Result(paint_over(sheet, stained), paint_over(sheet, elsewhere), stained)


def _box(picture: Mask, shape: Mask, top: int, left: int) -> Mask:
    """View the part of a picture [h, w] that a shape covers."""
    return picture[top : top + shape.shape[0], left : left + shape.shape[1]]
