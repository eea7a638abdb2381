"""The synthetic sample, written in the layout of the Kaggle data."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
