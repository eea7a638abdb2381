"""Names for annotations of nodes and hooks.

Kedro resolves the annotations of every node when a command starts. Resolving them to the real classes would
import pandas, torch and matplotlib for each ``kedro registry list``; type checkers see the real classes.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy import ndarray as Array
    from pandas import DataFrame

    from steel_xai.classifier import Classifier
    from steel_xai.segmentation.segmenter import Segmenter
else:
    Array = Classifier = DataFrame = Figure = Segmenter = Any

__all__ = ["Array", "Classifier", "DataFrame", "Figure", "Segmenter"]
