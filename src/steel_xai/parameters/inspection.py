"""Parameters of the inspection of layers and neurons."""

from typing import Annotated, Literal

from pydantic import Field

from steel_xai.parameters.base import Section, Workers

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Kernel = Annotated[int, Field(ge=1)]


class ProbeParameters(Section):
    """Logistic regressions on layers: candidates of C and folds of their choice, and shuffles of the control."""

    inverse_regularisation: Annotated[list[Positive], Field(min_length=1)]
    folds: Annotated[int, Field(ge=2)]
    shuffles: Count
    n_jobs: Workers


class EmbeddingParameters(Section):
    """t-SNE of ``sheets`` test sheets for ``modules``: their names, or how many, spread over depth."""

    sheets: Annotated[int, Field(ge=4)]
    modules: Count | list[str]
    perplexity: Positive
    neighbours: Count


class NeuronParameters(Section):
    """Activation maximisation of ``filters`` filters a layer, and the real ``patches`` that excite them most.

    ``layers`` are names of modules; null for the last one at each resolution. Images start at ``start_size`` pixels and
    are enlarged ``scales`` - 1 times by ``factor`` after each ``steps`` steps, blurred with kernels of ``blur`` pixels
    (smallest, largest). ``objective`` is what is maximised of a filter's map. ``cutoff`` is the frequency in cycles a
    pixel above which energy counts as high. ``sheets`` are searched for the strongest response.
    """

    layers: list[str] | None
    filters: Count
    patches: Count
    sheets: Count
    start_size: Annotated[int, Field(ge=8)]
    factor: Annotated[float, Field(gt=1)]
    scales: Annotated[int, Field(ge=2)]
    steps: Count
    learning_rate: Positive
    blur: tuple[Kernel, Kernel]
    jitter: Annotated[int, Field(ge=0)]
    total_variation: Annotated[float, Field(ge=0)]
    objective: Literal["mean", "peak"]
    cutoff: Annotated[float, Field(gt=0, lt=0.5)]


class SimilarityParameters(Section):
    """Linear CKA of the two tasks' layers on ``sheets`` sheets; ``samples`` random halves give the intervals."""

    sheets: Annotated[int, Field(ge=8)]
    samples: Annotated[int, Field(ge=20)]


class LayerShapParameters(Section):
    """Expected gradients of inner ``layers`` (null: first and middle) for the ``classes`` that are ranked highest."""

    layers: list[str] | None
    sheets: Count
    classes: Count
    background: Count
    samples: Annotated[int, Field(ge=2)]


class InspectionParameters(Section):
    """What is inspected; a module's output is reduced to ``n_features`` features at most."""

    n_features: Annotated[int, Field(ge=8)]
    batch_size: Count
    bootstrap_samples: Annotated[int, Field(ge=100)]
    probe: ProbeParameters
    embedding: EmbeddingParameters
    neurons: NeuronParameters
    similarity: SimilarityParameters
    layer_shap: LayerShapParameters
