"""A task's model as one ONNX file, checked against PyTorch."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
