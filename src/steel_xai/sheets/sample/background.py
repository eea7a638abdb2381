"""The sound surface of a sheet: brightness profile, streaks, tongues, ripple, sweeps, speckle and harmless marks."""

import numpy as np

from steel_xai.sheets.sample.fields import WIDTH, Image, smooth_line, smooth_noise, soft_step


def draw_background(rng: np.random.Generator, height: int) -> Image:
    """Draw a sound sheet ``[height, 1600]`` in grey levels, without grain.

    Every sheet, with or without a defect, gets its surface from here. What looks like a defect but is none (dark
    streaks, short marks, specks, bright flecks) therefore occurs as often on either kind.
    """
    sheet = _brightness(rng, height)
    sheet *= _streaks(rng, height)
    for _ in range(rng.integers(1, 4)):
        sheet *= _tongues(rng, height)
    if rng.random() < 0.6:
        sheet *= _ripple(rng, height)
    if rng.random() < 0.35:
        sheet *= _sweep(rng, height)
    if rng.random() < 0.25:
        sheet *= _smudges(rng, height)
    if rng.random() < 0.15:
        sheet *= _glare(rng, height)
    if rng.random() < 0.55:
        sheet *= _speckle_bands(rng, height)
    if rng.random() < 0.5:
        _short_marks(rng, sheet)
    _specks(rng, sheet)
    return sheet


def draw_grain(rng: np.random.Generator, sheet: Image, grain: float) -> Image:
    """Add camera and surface noise; ``grain`` is about its sd in grey levels at a brightness of 100."""
    import cv2

    # Rolled steel is brushed across the strip: the grain is drawn out horizontally.
    brush = cv2.getGaussianKernel(7, 1.3).T * 0.65
    brush[0, 3] += 0.35
    noise = cv2.filter2D(rng.standard_normal(sheet.shape, dtype=np.float32), -1, brush / np.linalg.norm(brush))
    amplitude = grain * np.sqrt(np.clip(sheet, 0, 255) / 100) + 0.5
    return np.asarray(sheet + amplitude * noise, dtype=np.float32)


def _brightness(rng: np.random.Generator, height: int) -> Image:
    level = np.clip(rng.normal(115, 24), 55, 165)
    x = np.linspace(0, 1, WIDTH, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    centre = np.clip(rng.normal(0.5, 0.1), 0.25, 0.75)
    distance = np.abs(x - centre) / (0.5 + abs(centre - 0.5))
    across = 1 - rng.uniform(0.25, 0.7) * distance ** rng.uniform(1.6, 3)
    along = 1 + rng.uniform(0.12, 0.4) * y - rng.uniform(0, 0.1) * y**2
    unevenness = 1 + 0.05 * smooth_noise(rng, height, WIDTH, 90, 130)
    return np.asarray(level * across * along * unevenness, dtype=np.float32)


def _streaks(rng: np.random.Generator, height: int) -> Image:
    thin = smooth_noise(rng, height, WIDTH, 50, 1.1)
    wide = smooth_noise(rng, height, WIDTH, 150, rng.uniform(6, 30))
    # Thin streaks come in bands, and some sheets are almost free of them.
    band = soft_step(smooth_line(rng, WIDTH, 60), 0, 3)
    return np.asarray(1 + rng.uniform(0.005, 0.045) * band * thin + rng.uniform(0.01, 0.06) * wide, dtype=np.float32)


def _tongues(rng: np.random.Generator, height: int) -> Image:
    """Lens and tongue shapes with crisp edges, in clusters: where a streaked field passes a threshold."""
    shape = rng.choice(["streaks", "tongues", "flecks"], p=[0.45, 0.25, 0.3])
    sigma_y, sigma_x = {
        "streaks": (rng.uniform(45, 110), rng.uniform(1.8, 5)),
        "tongues": (rng.uniform(28, 60), rng.uniform(3, 8)),
        "flecks": (rng.uniform(7, 18), rng.uniform(1.2, 2.2)),
    }[shape]
    field = smooth_noise(rng, height, WIDTH, sigma_y, sigma_x)
    field += rng.uniform(0.15, 0.4) * smooth_noise(rng, height, WIDTH, 9, 0.9)
    field += rng.uniform(0.7, 1.8) * smooth_line(rng, WIDTH, rng.uniform(30, 160))
    field += rng.normal(0, 0.6) * np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    cover = rng.uniform(0.02, 0.16)
    level = float(np.quantile(field[::8, ::8], 1 - cover))
    contrast = -rng.uniform(0.08, 0.36) if rng.random() < 0.72 else rng.uniform(0.07, 0.32)
    uneven = 1 + 0.25 * smooth_line(rng, WIDTH, 15)
    return np.asarray(1 + contrast * uneven * soft_step(field, level, rng.uniform(0.12, 0.6)), dtype=np.float32)


def _ripple(rng: np.random.Generator, height: int) -> Image:
    """Faint horizontal lines a few pixels apart."""
    y = np.arange(height, dtype=np.float32)[:, None]
    phase = 2 * np.pi * y / rng.uniform(4, 11) + 2.5 * smooth_noise(rng, height, WIDTH, 25, 60)
    amplitude = rng.uniform(0.01, 0.05) * soft_step(smooth_noise(rng, height, WIDTH, 90, 150), 0.3, 2)
    return np.asarray(1 + amplitude * np.sin(phase), dtype=np.float32)


def _sweep(rng: np.random.Generator, height: int) -> Image:
    """Curved diagonal bands: dark from a crisp edge on, fading out behind it."""
    x = np.arange(WIDTH, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    bands = np.ones((height, WIDTH), dtype=np.float32)
    tilt, bend = rng.normal(0, 90), rng.normal(0, 50)
    for _ in range(rng.integers(1, 5)):
        behind = x - rng.uniform(0, WIDTH) - tilt * y - bend * y**2
        fade = np.exp(-np.clip(behind, 0, None) / rng.uniform(30, 250))
        step = soft_step(behind, 0, rng.uniform(4, 40))
        bands += rng.choice([-1, 1], p=[0.7, 0.3]) * rng.uniform(0.05, 0.2) * step * fade
    return bands


def _smudges(rng: np.random.Generator, height: int) -> Image:
    """Faint mottled clouds."""
    cloud = soft_step(smooth_noise(rng, height, WIDTH, 22, 14) + 1.2 * smooth_line(rng, WIDTH, 120), 1.3, 1.6)
    mottled = 0.7 + 0.35 * smooth_noise(rng, height, WIDTH, 6, 1.5)
    return np.asarray(1 + rng.choice([-0.16, 0.12]) * cloud * mottled, dtype=np.float32)


def _glare(rng: np.random.Generator, height: int) -> Image:
    """An over-exposed region, brightest at the bottom."""
    x = (np.arange(WIDTH, dtype=np.float32) - rng.uniform(0.2, 0.8) * WIDTH) / rng.uniform(60, 300)
    y = np.linspace(1, 0, height, dtype=np.float32)[:, None] / rng.uniform(0.4, 1.5)
    return np.asarray(1 + rng.uniform(0.3, 0.9) * np.exp(-(x**2) - y**2), dtype=np.float32)


def _speckle_bands(rng: np.random.Generator, height: int) -> Image:
    """Vertical bands of bright speckle."""
    envelope = soft_step(smooth_line(rng, WIDTH, rng.uniform(20, 90)), rng.uniform(0.4, 1.4), 0.8)
    speckle = soft_step(smooth_noise(rng, height, WIDTH, rng.uniform(0.5, 1.1), 0.6), 1.3, 1.4)
    return np.asarray(1 + rng.uniform(0.2, 0.6) * envelope * speckle, dtype=np.float32)


def _short_marks(rng: np.random.Generator, sheet: Image) -> None:
    """Harmless short dark marks and faint long lines: like a scratch, but thin, faint or short."""
    for _ in range(rng.integers(1, 7)):
        height = int(rng.uniform(8, 45))
        top, left = int(rng.integers(0, sheet.shape[0] - height)), int(rng.integers(0, WIDTH - 8))
        taper = np.sin(np.linspace(0, np.pi, height, dtype=np.float32))[:, None]
        x = np.arange(8, dtype=np.float32)[None, :]
        line = np.clip(rng.uniform(0.6, 1.6) * taper + 0.5 - np.abs(x - 4), 0, 1)
        sheet[top : top + height, left : left + 8] *= 1 - rng.uniform(0.12, 0.4) * line
    for left in rng.integers(2, WIDTH - 2, size=rng.integers(0, 3)):
        sheet[:, left : left + 2] *= 1 - rng.uniform(0.04, 0.12)


def _specks(rng: np.random.Generator, sheet: Image) -> None:
    """Single dark and bright specks of one to three pixels' radius."""
    import cv2

    for _ in range(rng.poisson(8)):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, sheet.shape[0]))
        local = float(sheet[y, x])
        grey = local * rng.uniform(0.5, 0.85) if rng.random() < 0.6 else min(local * rng.uniform(1.2, 1.8), 250)
        axes = int(rng.integers(0, 3)), int(rng.integers(0, 4))
        cv2.ellipse(sheet, (x, y), axes, 0, 0, 360, grey, -1)
