"""The audit on samples whose answer is known."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
