"""Training and evaluation of a task's classifier."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
