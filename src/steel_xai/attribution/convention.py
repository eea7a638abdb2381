"""The one convention for attribution maps: their sign, their channels, and what counts as evidence.

Signed maps: a map has one value a pixel, positive where the pixel speaks for the explained class and negative where it
speaks against it. The score is the class's logit, before the softmax. Guided backpropagation, and guided GradCAM with
it, is a gradient: its sign says whether the logit rises as the pixel gets brighter.

Channels: networks see a grey pixel as three equal channels, so the pixel's attribution is the sum over them. A sum
keeps completeness, which an absolute value or a maximum over channels would not.

Evidence: scores and masks want maps that are never negative. Class activation maps and LIME give their positive part,
as their papers do. Maps of single pixels give their absolute value: a defect is texture, and along its bright and
dark flanks the sign alternates, so that half of a scratch would be lost.
"""

from typing import Literal

import numpy as np
import torch

from steel_xai.attribution import METHODS

BLUR_SIGMA = 8.0
"""In pixels: wide enough to wash out the texture of which defects consist."""


def grey_maps(attributions: torch.Tensor) -> torch.Tensor:
    """Add up the attributions [N, 3, H, W] of a grey pixel's three channels: signed maps [N, H, W]."""
    return attributions.sum(dim=1)


def evidence(maps: np.ndarray, method: str) -> np.ndarray:
    """Turn a method's signed maps [..., H, W] into non-negative ones, by its family's rule above."""
    found: np.ndarray = np.abs(maps) if METHODS[method].family == "gradient" else np.maximum(maps, 0)
    return found


def absence(images: torch.Tensor, kind: Literal["mean", "blur"]) -> torch.Tensor:
    """Make what stands for "no evidence" in the place of images, [N, 3, H, W].

    ``mean`` is each image's mean in every channel: a grey without texture. ``blur`` is the image without its texture.
    """
    if kind == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(images.cpu().numpy(), (0, 0, BLUR_SIGMA, BLUR_SIGMA))
    return torch.from_numpy(blurred).to(images.device)
