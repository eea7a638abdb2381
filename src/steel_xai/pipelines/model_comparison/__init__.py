"""The variants of a task's model, trained and evaluated side by side."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
