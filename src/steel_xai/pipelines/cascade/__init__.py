"""The cascade: gate, labels, a mask of each class; its scores and its submission."""

from .pipeline import create_evaluation_pipeline, create_pipeline

__all__ = ["create_evaluation_pipeline", "create_pipeline"]
