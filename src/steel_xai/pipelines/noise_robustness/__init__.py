"""How a task's model stands noise, trained with the noise augmentation and without."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
