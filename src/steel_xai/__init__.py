"""Steel XAI: train classifiers of steel-sheet defects and open them up."""

__version__ = "0.1.0"
