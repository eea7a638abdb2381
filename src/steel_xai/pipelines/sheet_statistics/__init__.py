"""What the sheets of a source look like, in numbers."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
