"""What one model's weights are worth to another: module after module replaced by the donor's, and measured again.

The study replaces the multi-class model's weights by the binary model's. A module works in another network only if its
channels mean the same in both, as where both trainings started from the same published weights. Two trainings from
random weights order their channels differently, however alike what they have learned is; linear CKA (`similarity`)
measures likeness that does not depend on the order.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.attribution.randomisation import randomised
from steel_xai.batches import Examples
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.device import place, select_device
from steel_xai.errors import InputError
from steel_xai.inference import evaluate_logits
from steel_xai.inspection.modules import area_of, list_modules
from steel_xai.metrics import bootstrap_intervals, score

RANDOM = "random"
"""Donor of the control: the other task's network with random weights."""

NOTHING = "none"
"""Module and area of the row in which nothing is replaced yet."""

TRANSFER_SCORES = ("accuracy", "balanced_accuracy", "f1")

Treatment = Literal["own", "replaced", "kept"]


def transfer_weights(
    models: Mapping[str, Classifier],
    sheets: np.ndarray,
    splits: Mapping[str, pd.DataFrame],
    *,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Replace each model's weights by the other's, module after module from the input on, and score what is left.

    Replacement is cumulative and takes parameters and buffers alike, batch normalisations with their statistics.
    Modules without any are no step. The last linear layer fits only if both tasks have as many outputs; otherwise the
    receiver keeps its own, and the last step changes nothing. The control replaces in the same way, from the donor's
    network with random weights.

    Scored are the receiver's test sheets outside the donor's training split: the splits of two tasks are drawn apart,
    so that the donor has learned from most of the others.

    Args:
        models: The two classifiers by task.
        sheets: uint8 [N, C, h, w].
        splits: What trained them, by task.
        batch_size: Sheets in a batch.
        device: Where the networks run.
        n_samples: Resamples of the sheets for the 95 % intervals.
        seed: Of the resamples, equal for all steps, and of the random weights.

    Returns:
        For each receiver and donor (the other task, ``random``) one row a step: ``receiver, donor, step, module,
        area``; ``treatment``, ``own`` (nothing replaced, step 0), ``replaced`` or ``kept`` (the receiver's own stays,
        the donor's does not fit); ``accuracy, balanced_accuracy, f1`` as in ``metrics.score``, each with ``_low`` and
        ``_high``; ``n`` sheets and ``left_out``, the test sheets in the donor's training split.

    Raises:
        InputError: The models' architectures do not match, or no test sheet is left.
    """
    check_same_architecture({task: model.description for task, model in models.items()})
    target = select_device(device)
    networks = {task: place(model.network, target) for task, model in models.items()}
    (first, second) = models
    tables = []
    for receiver, donor in ((second, first), (first, second)):
        examples, left_out = unseen_examples(splits, receiver, donor)

        def measure(network: nn.Module, examples: Examples = examples) -> dict[str, float | None]:
            logits = evaluate_logits(network, sheets, examples, batch_size=batch_size, device=target)
            return _scores(examples.labels, torch.softmax(logits, dim=1).cpu().numpy(), n_samples, seed)

        own = measure(networks[receiver])
        for name, weights in ((donor, networks[donor]), (RANDOM, randomised(networks[donor], seed))):
            steps = _measure_steps(networks[receiver], weights, own, measure, f"weights of {name} in {receiver}")
            table = pd.DataFrame(steps).assign(n=len(examples), left_out=left_out)
            table.insert(0, "receiver", receiver)
            table.insert(1, "donor", name)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def replace_modules(receiver: nn.Module, donor: nn.Module) -> Iterator[tuple[str, Treatment, nn.Module]]:
    """Replace the modules of a copy of the receiver one after the other, from the input on.

    Yields:
        Name of the module with weights that is in turn; ``replaced``, or ``kept`` where the donor's does not fit; and
        the copy, which the next step changes further.
    """
    network = copy.deepcopy(receiver)
    for name in modules_with_weights(receiver):
        own, given = network.get_submodule(name), donor.get_submodule(name).state_dict()
        fits = _shapes(own.state_dict()) == _shapes(given)
        if fits:
            own.load_state_dict(given)
        yield name, "replaced" if fits else "kept", network


def modules_with_weights(network: nn.Module) -> list[str]:
    """Name the modules of feature extractor and classifier that have parameters or buffers, from the input on."""
    return [name for name in list_modules(network) if network.get_submodule(name).state_dict()]


def unseen_examples(splits: Mapping[str, pd.DataFrame], receiver: str, donor: str) -> tuple[Examples, int]:
    """Take the receiver's test sheets outside the donor's training split, and count those within.

    Raises:
        InputError: None is left.
    """
    examples = Examples.of(splits[receiver], "test")
    seen = np.isin(examples.rows, Examples.of(splits[donor], "train").rows)
    if seen.all():
        raise InputError(
            f"All {len(examples)} test sheets of the {receiver} task are training sheets of the {donor} task, so that "
            "weight transfer has no sheet to be measured on; raise splits.fractions.test and train both models anew"
        )
    return examples.take(np.flatnonzero(~seen)), int(seen.sum())


def check_same_architecture(descriptions: Mapping[str, ClassifierDescription]) -> None:
    """Refuse models whose modules do not correspond to one another.

    Raises:
        InputError: They differ in architecture, batch normalisation or size of the sheets.
    """
    kinds = {
        task: f"{about.architecture} {'with' if about.batch_norm else 'without'} added batch normalisation, sheets of "
        f"{about.tensor_size[0]}x{about.tensor_size[1]}"
        for task, about in descriptions.items()
    }
    if len(set(kinds.values())) > 1:
        raise InputError(
            "Weight transfer and layer similarity need two models of one architecture, but there are "
            + " and ".join(f"{task}: {kind}" for task, kind in kinds.items())
            + "; train one of them anew with the other's training.architecture, training.batch_norm and "
            "training.pretrained, or load a matching version with --load-versions"
        )


def _measure_steps(
    receiver: nn.Module,
    donor: nn.Module,
    own: dict[str, float | None],
    measure: Callable[[nn.Module], dict[str, float | None]],
    description: str,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one receiver, whose own scores are known, and donor."""
    scores = own
    yield {"step": 0, "module": NOTHING, "area": NOTHING, "treatment": "own", **scores}
    total = len(modules_with_weights(receiver))
    with tqdm(replace_modules(receiver, donor), desc=description, total=total, unit="module") as steps:
        for step, (module, treatment, network) in enumerate(steps, start=1):
            if treatment == "replaced":
                scores = measure(network)
            yield {
                "step": step,
                "module": module,
                "area": area_of(network, module),
                "treatment": treatment,
                **scores,
            }


def _scores(labels: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int) -> dict[str, float | None]:
    scores = score(labels, probabilities)
    intervals = bootstrap_intervals(labels, probabilities, n_samples, seed)
    row: dict[str, float | None] = {}
    for name in TRANSFER_SCORES:
        row[name] = scores[name]
        row[f"{name}_low"], row[f"{name}_high"] = intervals[name]
    return row


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
