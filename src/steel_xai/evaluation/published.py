"""Published scores of attribution as segmentation, which this project's own stand beside.

They are of F. Grimaldi, "Interpretability methods for ML algorithms trained on steel industry data": Severstal test
sheets with a defect, masks where the blurred map is above its mean + k standard deviations, times on a GTX 850M.
"""

from steel_xai.errors import InputError

STUDY_THRESHOLDS = {"binary": 2.0, "multi": 3.0}
"""The study's k of each task."""

_OTHER_THRESHOLDS = {("binary", "deepshap"): 1.5}

_COLUMNS = ("recall", "precision", "iou", "dice", "ms_per_image")

STUDY_SCORES: dict[str, dict[str, dict[str, float]]] = {
    task: {method: dict(zip(_COLUMNS, scores, strict=True)) for method, scores in methods.items()}
    for task, methods in {
        "binary": {
            "deeplift": (0.647, 0.121, 0.101, 0.170, 102),
            "deepshap": (0.146, 0.202, 0.065, 0.119, 534),
            "gradcam": (0.588, 0.160, 0.124, 0.207, 18),
            "guided_gradcam": (0.526, 0.298, 0.195, 0.308, 59),
            "guided_backprop": (0.670, 0.240, 0.184, 0.295, 43),
            "integrated_gradients": (0.646, 0.064, 0.057, 0.101, 254),
            "lime": (0.269, 0.100, 0.040, 0.070, 641),
        },
        "multi": {
            "deeplift": (0.760, 0.257, 0.204, 0.316, 134),
            "deepshap": (0.541, 0.225, 0.150, 0.243, 535),
            "gradcam": (0.499, 0.223, 0.144, 0.236, 22),
            "guided_gradcam": (0.576, 0.360, 0.236, 0.363, 64),
            "guided_backprop": (0.638, 0.285, 0.199, 0.315, 44),
            "integrated_gradients": (0.714, 0.075, 0.066, 0.115, 263),
            "lime": (0.257, 0.127, 0.041, 0.071, 641),
        },
    }.items()
}
"""Scores of each task's methods: ``recall, precision, iou, dice`` (means over sheets, 0..1) and ``ms_per_image``."""


def study_threshold(task: str, method: str) -> float:
    """Look up the study's k of a method; one that the study does not have, or a control, gets that of its task.

    Raises:
        InputError: The study has no such task.
    """
    if task not in STUDY_THRESHOLDS:
        raise InputError(
            f"the study has no threshold for the task '{task}', only for {', '.join(STUDY_THRESHOLDS)}; "
            "choose it on the validation sheets"
        )
    return _OTHER_THRESHOLDS.get((task, method), STUDY_THRESHOLDS[task])
