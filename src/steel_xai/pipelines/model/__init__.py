"""A task's classifier: trained, and its predictions of held-out sheets."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
