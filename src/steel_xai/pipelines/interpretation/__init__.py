"""Which pixels decide, and how well explanations find the real defect."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
