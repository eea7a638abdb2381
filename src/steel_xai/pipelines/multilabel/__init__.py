"""The task of several classes a sheet: split, classifier, evaluation, inner layers."""

from .pipeline import create_pipeline, create_split_pipeline

__all__ = ["create_pipeline", "create_split_pipeline"]
