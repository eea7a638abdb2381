"""Labelled examples of a task, split into train, validation and test."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
