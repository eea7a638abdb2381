"""Nodes of the pipeline ``sample_data``."""

from pathlib import Path

from steel_xai.parameters import SampleParameters


def write_sample(sample_folder: Path, sample: SampleParameters) -> None:
    """Generate the sheets, their annotations and the planted truth."""
    from steel_xai.sheets.sample import generate_sample

    generate_sample(sample_folder, sample)
