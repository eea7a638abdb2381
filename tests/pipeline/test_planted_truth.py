"""What the detectors find on samples that nothing was tuned on; the figures of docs/data.md come from here."""

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("seed", [401, 402])
def test_planted_stains_and_repeated_frames_are_found(project, seed):
    project.run("data_processing", {"sample": {"seed": seed, "n_sheets": 1000, "near_duplicate_rate": 0.1}})
    found = project.load("sheet_index").merge(project.load("sample_truth"), on="image_id", suffixes=("", "_planted"))

    hits = int((found["white_stain"] & found["white_stain_planted"]).sum())
    named, planted = int(found["white_stain"].sum()), int(found["white_stain_planted"].sum())
    print(f"seed {seed}: stains, precision {hits} of {named}, recall {hits} of {planted}")
    assert hits / named > 0.9
    assert hits / planted > 0.8

    strips, groups = (found[column].to_numpy() for column in ("strip", "duplicate_group"))
    above = np.triu(np.ones((len(found), len(found)), dtype=bool), 1)
    same_strip, same_group = ((ids[:, None] == ids) & above for ids in (strips, groups))
    pairs, right, wrong = same_strip.sum(), (same_strip & same_group).sum(), (same_group & ~same_strip).sum()
    print(f"seed {seed}: repeated frames, {right} of {pairs} pairs found, {wrong} false")
    assert right / pairs > 0.95
    assert wrong == 0
