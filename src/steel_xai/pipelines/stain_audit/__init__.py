"""Does the model take white stains, or another attribute of sheets, for a sign of a class?"""

from .pipeline import create_pipeline

__all__ = ["create_pipeline"]
