"""Near-duplicate sheets: frames of one strip, taken a little later, a little brighter."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from steel_xai.localisation import BLACK_LEVEL
from steel_xai.parameters import DuplicateParameters
from steel_xai.sheets.parallel import map_batches

_THUMBNAIL_PIXELS = 6400
_HASH_SIZE = (16, 100)  # height, width
_NEIGHBOURS = 16
_CHUNK = 256
_CACHED = 1024
_BLUR = 6.0
_CLIP = 3.0
_MIN_LIT_SHARE = 0.02
_MIN_DEVIATION = 0.5


def duplicate_groups(
    sheets: NDArray[np.uint8], parameters: DuplicateParameters, *, n_jobs: int, batch_size: int
) -> NDArray[np.int64]:
    """Group near-duplicate sheets.

    Perceptual hashes propose pairs, and the correlation of their texture over a range of shifts decides. Both see only
    what is left of a thumbnail without its black ends and slow changes of brightness, which all sheets share.

    Args:
        sheets: ``[N, C, h, w]``, 0..255; may be memory-mapped, it is read a batch at a time.
        parameters: Thresholds of hash and correlation.
        n_jobs: Threads; -1 takes all cores.
        batch_size: Sheets, or pairs of sheets, that a thread takes at a time.

    Returns:
        Group of each sheet ``[N]``, named by its smallest row.
    """
    hashes = np.zeros(len(sheets), dtype=np.uint64)
    usable = np.zeros(len(sheets), dtype=bool)

    for rows, hashed in map_batches(
        _hash_sheets,
        len(sheets),
        n_jobs=n_jobs,
        batch_size=batch_size,
        description="sheet hashes",
        unit="sheet",
        take=lambda rows: np.array(sheets[rows]),
    ):
        hashes[rows], usable[rows] = hashed

    groups = np.arange(len(sheets), dtype=np.int64)
    pairs = _candidates(hashes, usable, parameters.max_hash_distance)

    @lru_cache(maxsize=_CACHED)
    def texture_of(row: int) -> NDArray[np.float32]:
        return sheet_texture(sheets[row])

    def duplicates(batch: slice) -> list[tuple[int, int]]:
        # What is already in one group needs no proof: many frames of one strip stay cheap. A group that grows meanwhile
        # costs a needless proof, never a wrong answer, so that the result does not depend on the threads.
        return [
            (row, other)
            for row, other in pairs[batch]
            if groups[row] != groups[other]
            and _correlation(texture_of(row), texture_of(other)) >= parameters.min_correlation
        ]

    for _, found in map_batches(
        duplicates, len(pairs), n_jobs=n_jobs, batch_size=batch_size, description="candidate pairs", unit="pair"
    ):
        for row, other in found:
            first, second = sorted((groups[row], groups[other]))
            groups[groups == second] = first
    return groups


def sheet_texture(sheet: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a thumbnail of what distinguishes a sheet ``[C, h, w]``, in standard deviations, or zeros."""
    import cv2

    height, width = sheet.shape[1:]
    scale = min(1.0, (_THUMBNAIL_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = cv2.resize(sheet.astype(np.float32).mean(axis=0), size, interpolation=cv2.INTER_AREA)
    lit = cv2.erode((grey > BLACK_LEVEL).astype(np.float32), np.ones((3, 3), dtype=np.uint8))
    if lit.mean() < _MIN_LIT_SHARE:
        return np.zeros_like(grey)
    weight = cv2.GaussianBlur(lit, (0, 0), _BLUR) + 1e-3
    detail = (grey - cv2.GaussianBlur(grey * lit, (0, 0), _BLUR) / weight) * lit
    deviation = np.sqrt((detail**2).sum() / lit.sum())
    if deviation < _MIN_DEVIATION:
        return np.zeros_like(grey)
    # Without a limit a few saturated spots would outweigh the whole texture.
    return np.asarray(np.clip(detail / deviation, -_CLIP, _CLIP), dtype=np.float32)


def _perceptual_hash(texture: NDArray[np.float32]) -> np.uint64:
    """Return the signs of 64 low frequencies of the cosine transform.

    Strips pass the camera along the sheet's height: frequencies across it survive the shift between two
    frames, so the block is 2 high and 33 wide.
    """
    import cv2

    spectrum = cv2.dct(cv2.resize(texture, _HASH_SIZE[::-1], interpolation=cv2.INTER_AREA))
    bits = spectrum[:2, :33].ravel()[1:65] > 0
    return np.uint64(np.packbits(bits).view(np.uint64)[0])


def _hash_sheets(sheets: NDArray[np.uint8]) -> tuple[list[np.uint64], list[np.bool_]]:
    textures = [sheet_texture(sheet) for sheet in sheets]
    return [_perceptual_hash(texture) for texture in textures], [texture.any() for texture in textures]


def _candidates(hashes: NDArray[np.uint64], usable: NDArray[np.bool_], max_distance: int) -> list[tuple[int, int]]:
    """Pair every usable sheet with its nearest neighbours by hash; a fixed number of them bounds the work."""
    rows = np.flatnonzero(usable)
    pairs: set[tuple[int, int]] = set()
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        distance = np.bitwise_count(hashes[chunk, None] ^ hashes[None, rows])
        distance[np.arange(len(chunk)), np.arange(start, start + len(chunk))] = 64
        for row, distances in zip(chunk.tolist(), distance, strict=True):
            near = np.flatnonzero(distances <= max_distance)
            others = rows[near[np.argsort(distances[near], kind="stable")[:_NEIGHBOURS]]].tolist()
            pairs.update((min(row, other), max(row, other)) for other in others)
    return sorted(pairs)


def _correlation(texture: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the best correlation of one texture's middle with the other, shifted by up to a quarter of the height."""
    import cv2

    height, width = texture.shape
    rows, columns = height // 4, max(2, width // 50)
    middle = other[rows : height - rows, columns : width - columns]
    if middle.size == 0 or not middle.std() > 0:
        return 0.0
    return float(cv2.matchTemplate(texture, middle, cv2.TM_CCOEFF_NORMED).max())
