import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.parameters import SampleParameters
from steel_xai.sheets.sample.background import draw_background
from steel_xai.sheets.sample.defects import DRAW
from steel_xai.sheets.sample.edges import BlackEnd, Extent, usable_extent
from steel_xai.sheets.sample.fields import size_between, smooth_noise, soft_step
from steel_xai.sheets.sample.masks import Box, outline, quadrilateral
from steel_xai.sheets.sample.plan import plan_sample
from steel_xai.sheets.sample.stains import draw_stains
from steel_xai.sheets.sample.strokes import draw_stroke


def parameters(**changes: object) -> SampleParameters:
    values: dict[str, object] = {
        "seed": 0,
        "n_sheets": 200,
        "n_unlabelled": 10,
        "class_shares": {"none": 0.5, "1": 0.1, "2": 0.1, "3": 0.1, "4": 0.1, "several": 0.1},
        "near_duplicate_rate": 0.0,
        "stain_rate": {"defect_free": 0.3, "defective": 0.0},
        "black_end_rate": {"left": 0.1, "right": 0.1},
        "class_2_edge_rate": 0.5,
        "n_jobs": 1,
    }
    return SampleParameters.model_validate(values | changes)


def test_plan_meets_the_class_shares_exactly():
    strips = [strip for strip, _ in plan_sample(parameters()) if strip.folder == "train_images"]
    assert sum(strip.classes == () for strip in strips) == 100
    assert [sum(strip.classes == (k,) for strip in strips) for k in (1, 2, 3, 4)] == [20] * 4
    assert sum(len(strip.classes) == 2 for strip in strips) == 20


def test_plan_does_not_depend_on_the_order_of_the_shares():
    shares = {"several": 0.1, "4": 0.1, "3": 0.1, "2": 0.1, "1": 0.1, "none": 0.5}
    assert plan_sample(parameters(class_shares=shares)) == plan_sample(parameters())


@settings(max_examples=30, deadline=None)
@given(n=st.integers(20, 90), rate=st.floats(0, 1), seed=st.integers(0, 1000))
def test_plan_has_as_many_frames_as_sheets_with_distinct_names(n: int, rate: float, seed: int):
    plan = plan_sample(parameters(n_sheets=n, near_duplicate_rate=rate, seed=seed))
    frames = [(strip.folder, frame.image_id) for strip, frames in plan for frame in frames]
    assert sum(folder == "train_images" for folder, _ in frames) == n
    assert len({name for _, name in frames}) == len(frames)
    assert len({strip.number for strip, _ in plan}) == len(plan)


def test_sizes_follow_their_percentiles():
    normals = np.random.default_rng(0).standard_normal(20_000)
    sizes = [size_between((10, 20, 90), z) for z in normals]
    assert np.percentile(sizes, [5, 50, 95]) == pytest.approx([10, 20, 90], rel=0.06)


@pytest.mark.parametrize(("sigma_y", "sigma_x"), [(0.8, 0.8), (3, 12), (60, 2)])
def test_smooth_noise_has_unit_spread_and_the_asked_size(sigma_y: float, sigma_x: float):
    field = smooth_noise(np.random.default_rng(0), 250, 1501, sigma_y, sigma_x)
    assert field.shape == (250, 1501)
    assert field.dtype == np.float32
    assert field.std() == pytest.approx(1, abs=0.35)
    assert field.mean() == pytest.approx(0, abs=0.35)


def test_soft_step_is_half_at_its_level():
    steps = soft_step(np.array([0, 1.5, 2, 2.5, 9], dtype=np.float32), level=2, softness=2)
    assert steps.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_stroke_changes_its_own_pixels_only():
    sheet = np.full((8, 9), 100, dtype=np.float32)
    draw_stroke(sheet, 2, np.full(3, 4.0, dtype=np.float32), 1, -0.5)
    expected = np.full((8, 9), 100.0)
    expected[2:5, 4] = 50
    assert sheet.tolist() == expected.tolist()


def test_stroke_at_the_border_stays_in_the_picture():
    sheet = np.full((4, 5), 100, dtype=np.float32)
    draw_stroke(sheet, 0, np.zeros(4, dtype=np.float32), 1, -0.5)
    assert sheet[:, 0].tolist() == [50] * 4
    assert (sheet[:, 1:] == 100).all()


def test_quadrilateral_fills_about_its_box():
    mask = quadrilateral(np.random.default_rng(0), Box(top=40, left=300, height=100, width=60), slant=0)
    assert mask[:40].sum() == mask[140:].sum() == 0
    assert mask.sum() == pytest.approx(6000, rel=0.15)


def test_outline_covers_what_was_drawn_with_a_margin_and_drops_crumbs():
    drawn = np.zeros((256, 1600), dtype=bool)
    drawn[100:160, 500:600] = True
    drawn[20:23, 1000:1003] = True
    mask = outline(np.random.default_rng(0), drawn, margin=8, tolerance=4)
    assert mask[100:160, 500:600].all()
    assert 6000 < mask.sum() < 1.7 * 6000
    assert mask[:, 900:].sum() == 0


def test_usable_extent_leaves_out_the_black_end():
    assert usable_extent(None) == Extent(0, 1600)
    assert usable_extent(BlackEnd("left", 200)).left > 200
    assert usable_extent(BlackEnd("right", 200)).right < 1400


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_defect_changes_the_sheet_inside_its_mask_more_than_outside(k: int):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        before = draw_background(rng, 256)
        after = before.copy()
        mask = DRAW[k](rng, after, Extent(300, 1500), np.zeros((256, 1600), dtype=np.uint8))
        change = np.abs(after - before)
        assert mask.any()
        assert mask[:, :280].sum() == 0
        assert change[mask == 1].mean() > 1
        assert change[mask == 1].sum() > 0.6 * change.sum()


def test_stains_keep_off_the_taken_pixels():
    rng = np.random.default_rng(0)
    sheet = np.full((256, 1600), 90, dtype=np.float32)
    taken = np.zeros((256, 1600), dtype=np.uint8)
    taken[:, ::2] = 1
    stain = draw_stains(rng, sheet, Extent(), taken)
    assert stain.sum() > 100
    assert (stain * taken).sum() == 0
    assert (sheet[taken == 1] == 90).all()


def test_stains_are_several_blobs_of_the_published_size():
    sheet = np.full((256, 1600), 90, dtype=np.float32)
    stain = draw_stains(np.random.default_rng(1), sheet, Extent(), np.zeros((256, 1600), dtype=np.uint8))
    joined = cv2.morphologyEx(stain, cv2.MORPH_CLOSE, np.ones((5, 5), dtype=np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(joined)
    large = [box for box in boxes[1:] if box[cv2.CC_STAT_AREA] > 60]
    assert len(large) >= 3
    assert sheet[stain == 1].mean() > 215
