"""Explanations of new sheets, without labels, by a task's model."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
