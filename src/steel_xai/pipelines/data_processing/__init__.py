"""From raw files to tensors, index and quarantine."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
