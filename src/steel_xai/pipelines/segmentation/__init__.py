"""Networks that label every pixel, trained on masks: references for explanations."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
