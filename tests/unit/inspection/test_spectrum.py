import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.inspection.spectrum import high_frequency_share


def stripes(frequency, size=48, angle=0.0):
    y, x = np.mgrid[:size, :size]
    return 0.5 + 0.4 * np.cos(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))


@pytest.mark.parametrize("angle", [0, 0.6, np.pi / 2])
def test_stripes_have_all_their_energy_on_their_side_of_the_cutoff(angle):
    pictures = np.stack([stripes(0.12, angle=angle), stripes(0.37, angle=angle)])
    assert high_frequency_share(pictures, 0.25) == pytest.approx([0, 1], abs=1e-3)


def test_energy_is_that_of_the_amplitude_squared():
    picture = 0.5 + 0.3 * (stripes(0.1) - 0.5) + 0.6 * (stripes(0.4) - 0.5)
    assert high_frequency_share(picture[None], 0.25) == pytest.approx([4 / 5], abs=1e-3)


def test_white_noise_spreads_over_the_area_of_frequencies():
    noise = np.random.default_rng(0).random((40, 64, 64))
    # The circle of radius 1/4 covers pi/16 of the square of frequencies.
    assert high_frequency_share(noise, 0.25).mean() == pytest.approx(1 - np.pi / 16, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(grey=st.floats(-0.2, 0.2), contrast=st.floats(0.1, 1), seed=st.integers(0, 99))
def test_share_depends_neither_on_brightness_nor_on_contrast(grey, contrast, seed):
    picture = np.random.default_rng(seed).random((1, 20, 30))
    np.testing.assert_allclose(
        high_frequency_share(grey + contrast * picture, 0.2), high_frequency_share(picture, 0.2), rtol=1e-9
    )


@pytest.mark.parametrize("grey", [0, 0.3, 1])
def test_flat_picture_has_no_share(grey):
    pictures = np.full((2, 16, 16), grey, dtype=float)
    pictures[1, 0] = 0.5  # the window does not see the border
    assert np.isnan(high_frequency_share(pictures, 0.25)).all()
