"""The trained networks: what they are, how they were trained."""

from collections.abc import Sequence

from steel_xai.report.elements import Element, Facts
from steel_xai.report.formats import count, duration, number, sentence_case, words
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study

WEIGHTS = {"imagenet": "ImageNet weights, fine-tuned", "random": "random weights: nothing learned before this data"}


def _model(study: Study, task: str) -> Sequence[Element]:
    about = study.model(task)
    elements: list[Element] = []
    if about is not None:
        chosen = about["parameters"]
        stopped = ", then interrupted" if about["interrupted"] else ""
        facts = {
            "Network": sentence_case(words(about["architecture"]))
            + (", with batch normalisation after each convolution" if about["batch_norm"] else ""),
            "Starts from": WEIGHTS.get(about["weights"], about["weights"]),
            "Outputs": ", ".join(about["outputs"]),
            "Input": f"{about['tensor_size'][0]} \N{MULTIPLICATION SIGN} {about['tensor_size'][1]} pixels"
            + (", read in windows" if about["patches"] else ""),
            "Trained on": f"{count(about['n_train'], 'example')} (sheets, and copies of rare classes) of "
            f"'{about['data_source']}' in {duration(about['seconds_training'])}",
            "Epochs": f"{about['epochs_run']}{stopped}; the best on the validation sheets, number "
            f"{about['best_epoch']}, is kept",
            "Optimiser": f"{chosen.get('optimizer', '')}, learning rate {chosen.get('learning_rate', '')}, "
            f"batches of {chosen.get('batch_size', '')}, noise {chosen.get('noise', '')}",
            "Seed": str(about["seed"]),
            "Versions": ", ".join(f"{name} {version}" for name, version in about["versions"].items()),
        }
        elements.append(Facts(facts))
    elements.extend(
        study.figure(f"{task}.training_curves", "Training curves", _curves(study, task)),
    )
    return elements


def _curves(study: Study, task: str) -> str:
    """Say where training and validation end, and how far apart."""
    advice = "A widening gap between the two curves is the mark of over-fitting. "
    history, about = study.table(f"{task}.history"), study.model(task)
    if history is None or about is None or not len(history):
        return advice
    best = history[history["epoch"] == about["best_epoch"]]
    if not len(best):
        return advice
    row = best.iloc[0]
    return (
        f"{advice}At the epoch that is kept, {about['best_epoch']}, accuracy is "
        f"{number(row['train_accuracy'])} on training sheets (with noise and flips) and "
        f"{number(row['validation_accuracy'])} on validation sheets."
    )


PART = Part(
    "models",
    "The models",
    "",
    (Stage("{task}_model", ("model", "history", "training_curves"), _model, label="training"),),
)
