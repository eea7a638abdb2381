"""Nodes of the inspection of the tasks' networks."""

from typing import Any

from steel_xai.parameters import InspectionParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def hand_over_model(
    model: Classifier, sheets: Array, split: DataFrame, data_source: str
) -> tuple[Classifier, DataFrame]:
    """Hand over a task's model and split for a comparison of tasks, once they belong together."""
    from steel_xai.classifier import check_lineage

    check_lineage(model.description, sheets, split, data_source)
    return model, split


def probe_layers(
    model: Classifier, sheets: Array, split: DataFrame, inspection: InspectionParameters, training: TrainingParameters
) -> DataFrame:
    """Fit a logistic regression to every module's output, of the network and of its controls."""
    from steel_xai.inspection.probe import layer_probe

    probe = inspection.probe
    return layer_probe(
        model.network,
        sheets,
        split,
        model.description.outputs,
        n_features=inspection.n_features,
        inverse_regularisation=probe.inverse_regularisation,
        folds=probe.folds,
        shuffles=probe.shuffles,
        bootstrap_samples=inspection.bootstrap_samples,
        batch_size=inspection.batch_size,
        n_jobs=probe.n_jobs,
        device=training.device,
        seed=model.description.seed,
    )


def plot_probe(layer_probe: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw the probes' accuracy against depth."""
    from steel_xai import plots

    return plots.layer_probe(layer_probe, data_source=model.description.name_data(data_source))


def embed_layers(
    model: Classifier, sheets: Array, split: DataFrame, inspection: InspectionParameters, training: TrainingParameters
) -> tuple[DataFrame, DataFrame]:
    """Embed the test sheets by modules' outputs, and measure how classes lie apart there."""
    from steel_xai.inspection.embedding import layer_embedding

    embedding = inspection.embedding
    return layer_embedding(
        model.network,
        sheets,
        split,
        n_sheets=embedding.sheets,
        modules=embedding.modules,
        n_features=inspection.n_features,
        perplexity=embedding.perplexity,
        neighbours=embedding.neighbours,
        bootstrap_samples=inspection.bootstrap_samples,
        batch_size=inspection.batch_size,
        device=training.device,
        seed=model.description.seed,
    )


def plot_embedding(
    layer_embedding_points: DataFrame, layer_separation: DataFrame, model: Classifier, data_source: str
) -> Figure:
    """Draw the embeddings over depth."""
    from steel_xai import plots

    about = model.description
    return plots.layer_embedding(
        layer_embedding_points, layer_separation, about.outputs, data_source=about.name_data(data_source)
    )


def inspect_neurons(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    data_source: str,
    inspection: InspectionParameters,
    training: TrainingParameters,
) -> tuple[DataFrame, DataFrame, Figure, Figure]:
    """Maximise single filters and find what excites them on real sheets."""
    from steel_xai import plots
    from steel_xai.device import place, select_device
    from steel_xai.inspection import neurons as domain

    neurons, device, about = inspection.neurons, select_device(training.device), model.description
    found = domain.inspect_neurons(
        place(model.network, device),
        sheets,
        split["row"].drop_duplicates().to_numpy(),
        layers=neurons.layers,
        n_filters=neurons.filters,
        n_patches=neurons.patches,
        n_sheets=neurons.sheets,
        options=domain.MaximisationOptions(
            start_size=neurons.start_size,
            factor=neurons.factor,
            n_scales=neurons.scales,
            steps=neurons.steps,
            learning_rate=neurons.learning_rate,
            blur=neurons.blur,
            jitter=neurons.jitter,
            total_variation=neurons.total_variation,
            objective=neurons.objective,
        ),
        cutoff=neurons.cutoff,
        batch_size=inspection.batch_size,
        n_samples=inspection.bootstrap_samples,
        device=device,
        seed=about.seed,
    )
    source = about.name_data(data_source)
    gallery = plots.neuron_gallery(found.neurons, found.fields, found.table, data_source=source)
    n_sheets = min(neurons.sheets, split["row"].nunique())
    scores = plots.neuron_scores(
        found.table, found.summary, cutoff=neurons.cutoff, n_sheets=n_sheets, data_source=source
    )
    return found.table, found.summary, gallery, scores


def explain_layers(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    masks: Array,
    split: DataFrame,
    data_source: str,
    inspection: InspectionParameters,
    training: TrainingParameters,
) -> tuple[DataFrame, Figure]:
    """Explain the classes ranked highest by the outputs of inner layers."""
    from steel_xai import plots
    from steel_xai.inspection import layer_shap
    from steel_xai.interpretation.maps import grey_sheets, shown_rows, true_masks

    shap, about = inspection.layer_shap, model.description
    chosen = layer_shap.choose_shap_sheets(predictions, shown_rows(masks, len(sheets)), shap.sheets, about.seed)
    maps, table = layer_shap.explain_layers(
        model,
        sheets,
        split,
        chosen,
        layers=shap.layers,
        n_classes=shap.classes,
        n_background=shap.background,
        n_samples=shap.samples,
        device=training.device,
        seed=about.seed,
    )
    rows = chosen["row"].to_numpy()
    figure = plots.layer_shap(
        maps,
        table,
        grey_sheets(sheets, rows),
        true_masks(masks, rows, sheets.shape[2:]),
        about.outputs,
        data_source=about.name_data(data_source),
    )
    return table, figure


def transfer_weights(
    binary_model_and_split: Any,
    multi_model_and_split: Any,
    sheets: Array,
    inspection: InspectionParameters,
    training: TrainingParameters,
) -> tuple[DataFrame, DataFrame]:
    """Replace each task's weights by the other's, module after module, and compare their layers."""
    from steel_xai.inspection.similarity import compare_layers
    from steel_xai.inspection.weight_transfer import transfer_weights

    tasks = {"binary": binary_model_and_split, "multi": multi_model_and_split}
    models = {task: model for task, (model, _) in tasks.items()}
    splits = {task: split for task, (_, split) in tasks.items()}
    seed = models["binary"].description.seed
    options: dict[str, Any] = {"batch_size": inspection.batch_size, "device": training.device, "seed": seed}
    transfer = transfer_weights(models, sheets, splits, n_samples=inspection.bootstrap_samples, **options)
    similarity = compare_layers(
        models,
        sheets,
        splits,
        n_sheets=inspection.similarity.sheets,
        n_samples=inspection.similarity.samples,
        **options,
    )
    return transfer, similarity


def plot_transfer(weight_transfer: DataFrame, layer_similarity: DataFrame, data_source: str) -> Figure:
    """Draw what replaced weights cost, and how alike the layers are."""
    from steel_xai import plots

    return plots.weight_transfer(weight_transfer, layer_similarity, data_source=data_source)
