"""What a task's classifier is worth: scores, calibration, abstention, missed defects, speed."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
