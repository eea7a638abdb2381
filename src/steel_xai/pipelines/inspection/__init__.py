"""What layers and neurons of the trained networks have learned."""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
