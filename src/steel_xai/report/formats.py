"""How the report writes numbers, intervals and names."""

import math
from collections.abc import Sequence
from typing import Any

MINUS, NARROW_SPACE = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}"
_SPACE = "\N{NO-BREAK SPACE}"
MISSING = "\N{EN DASH}"

_METHODS = {
    "deeplift": "DeepLift",
    "deepshap": "DeepShap",
    "gradcam": "GradCAM",
    "guided_gradcam": "Guided GradCAM",
    "guided_backprop": "Guided backpropagation",
    "integrated_gradients": "Integrated gradients",
    "lime": "LIME",
    "layercam": "LayerCAM",
    "hirescam": "HiResCAM",
    "median_deviation": "Distance from the median grey",
    "centre_prior": "Centre prior",
    "local_contrast": "Local contrast",
    "fcn32_cross_entropy": "FCN32, cross-entropy",
    "fcn32_soft_dice": "FCN32, soft Dice",
    "unet": "U-Net",
}

_WORDS = {
    "auc": "AUC",
    "f1": "F1",
    "iou": "IoU",
    "ece": "ECE",
    "nll": "negative log likelihood",
    "aurc": "AURC",
    "e_aurc": "excess AURC",
    "ad_hoc_cnn": "ad-hoc CNN",
    "vgg16": "VGG16",
    "vgg16_bn": "VGG16 with batch norm",
    "squeezenet": "SqueezeNet",
    "reduced_squeezenet": "reduced SqueezeNet",
    "augmented_reduced_squeezenet": "augmented reduced SqueezeNet",
    "weighted_squeezenet": "weighted SqueezeNet",
    "patches_squeezenet": "SqueezeNet on patches",
    "augmented_cnn": "augmented CNN",
    "augmented_vgg16": "augmented VGG16",
    "densenet121": "DenseNet121",
    "resnet18": "ResNet18",
    "imagenet": "ImageNet",
    "logistic_regression": "logistic regression on pixels",
}


def is_missing(value: Any) -> bool:
    """Tell whether there is no value: None, or a number that is none."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with a fixed count of digits, a true minus, and a dash where there is none."""
    if is_missing(value):
        return MISSING
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):  # no negative zero
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference with its sign."""
    text = number(value, digits)
    return text if text.startswith((MINUS, MISSING)) else f"+{text}"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """Write a value and its 95 % interval in brackets; the value alone where it has none."""
    write = signed if sign else number
    if is_missing(value) or is_missing(low) or is_missing(high):
        return write(value, digits)
    return f"{write(value, digits)} [{write(low, digits)}, {write(high, digits)}]"


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share as a percentage."""
    return MISSING if share is None or is_missing(share) else f"{number(100 * share, digits)}{NARROW_SPACE}%"


def percent_interval(share: float | None, bounds: Sequence[float | None] | None, digits: int = 0) -> str:
    """Write a share and its interval as percentages."""
    if not bounds or any(is_missing(bound) for bound in bounds):
        return percent(share, digits)
    low, high = (number(100 * bound, digits) for bound in bounds if bound is not None)
    return f"{percent(share, digits)} [{low}, {high}]"


def p_value(value: float | None) -> str:
    """Write a p-value with two digits; small ones as a power of ten."""
    if value is None or is_missing(value):
        return MISSING
    if value >= 0.001:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa} \N{MULTIPLICATION SIGN} 10{_superscript(int(exponent))}"


def count(n: float, one: str, several: str | None = None) -> str:
    """Write how many there are of something: ``1 sheet``, ``1,000 sheets``."""
    return f"{int(n):,} {one if n == 1 else several or one + 's'}"


def duration(seconds: float) -> str:
    """Write seconds as what a reader would say."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def file_size(n_bytes: int) -> str:
    """Write a number of bytes in megabytes."""
    return f"{n_bytes / 1e6:.1f} MB"


def words(name: str) -> str:
    """Write a dataset's, column's or architecture's name in words."""
    return _WORDS.get(name, name.replace("_", " "))


def tie(text: str) -> str:
    """Keep a symbol and its value on one line: ``n = 64``, ``p = 0.01``, ``95 %``."""
    for symbol in ("n", "p", "k"):
        text = text.replace(f"{symbol} = ", f"{symbol}{_SPACE}={_SPACE}")
    return text.replace(" %", f"{NARROW_SPACE}%")


def sentence_case(text: str) -> str:
    """Write the first letter large and leave the others."""
    return text[:1].upper() + text[1:]


def method_name(method: str) -> str:
    """Write an attribution method's name as its paper does."""
    return _METHODS.get(method, sentence_case(words(method)))


def enumeration(parts: Sequence[str]) -> str:
    """Write ``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _superscript(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
