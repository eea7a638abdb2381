"""What happens around every run: parameters are checked, raw data is there, versions belong together."""

import logging
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import AbstractVersionedDataset, CatalogProtocol, MemoryDataset
from kedro.io.core import is_parameter
from kedro.pipeline import Pipeline

from steel_xai.config import SAMPLE, TASKS, TRAINED_TASKS
from steel_xai.errors import InputError
from steel_xai.parameters import Parameters, SampleParameters, validate
from steel_xai.raw_files import RawFile, exists, forget_listings, is_url, list_folder, raw_place, within

logger = logging.getLogger(__name__)

NEEDS_MASKS = "needs_masks"
"""Tag of nodes for which it is not enough to know that a sheet has a defect."""
RAW_DATASETS = {"raw_annotations", "raw_sheets"}
VERSIONED_TOGETHER = ("sheets", "masks", "sheet_index")
"""Written by one run and indexed by the same ``row``: loading two of them from different runs mixes sheets."""


class ParameterHooks:
    """Validate the whole tree of parameters, so that a misspelt section is named, not ignored."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse the run before anything is loaded."""
        parameters = validate(Parameters, context.config_loader["parameters"])
        names = context.config_loader["globals"]
        source = names["data_source"]
        if is_url(names["data_root"]):
            raise InputError(
                f"data_root is the URL {names['data_root']}, but results are mapped into memory and written in one "
                "step, which only a disk can do: give a folder of a local or mounted disk. Raw data may stay at a URL: "
                "raw_root"
            )
        if parameters.data_source != source:
            raise InputError(
                f"data_source is '{parameters.data_source}' among the parameters but '{source}' among the globals, "
                "which decide where data is read and written; state it in conf/local/globals.yml, not in --params"
            )


class RawDataHooks:
    """Make the built-in sample the first time it is needed; name what is missing of any other source."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the raw data of this run lives."""
        self._raw_root = raw_place(context.config_loader["globals"]["raw_root"], Path(context.project_path))
        self._parameters = context.config_loader["parameters"]
        self._asked_for_sample = "sample" in (context.config_loader.runtime_params or {})

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Check, or for the sample make, the raw files that the pipeline reads."""
        if not RAW_DATASETS & pipeline.inputs():
            return
        source = self._parameters["data_source"]
        if source == SAMPLE:
            self._provide_sample(Path(self._raw_root, SAMPLE))
        else:
            check_raw_data(self._raw_root, source)

    def _provide_sample(self, folder: Path) -> None:
        from steel_xai.sheets.sample import MANIFEST, check_layout, generate_sample, is_current

        height, width = self._parameters["raw_size"]
        check_layout(self._parameters["class_names"], (height, width))
        parameters = validate(SampleParameters, self._parameters["sample"])
        if is_current(folder, parameters):
            return
        if (folder / MANIFEST).exists() and not self._asked_for_sample:
            logger.warning(
                "The sample in %s was made with other parameters than those of this run; it is used as it is. "
                "`kedro run --pipeline=sample_data` makes it anew.",
                folder,
            )
            return
        generate_sample(folder, parameters)


def check_raw_data(raw_root: RawFile, source: str) -> None:
    """Raise InputError that says which files of ``source`` are expected where, if one is missing."""
    if is_url(raw_root):
        forget_listings(raw_root)
    folder = within(raw_root, source)
    table, images = within(folder, "train.csv"), within(folder, "train_images")
    missing = [str(place) for place in (table, images) if not exists(place)]
    if not missing:
        return
    download = (
        f"The Kaggle data comes with `kaggle competitions download -c severstal-steel-defect-detection -p {folder}` "
        f"and `unzip -d {folder} {folder}/severstal-steel-defect-detection.zip`. "
    )
    raise InputError(
        f"No raw data for data_source '{source}': missing {' and '.join(missing)}. Expected are {table} "
        f"(columns ImageId,ClassId,EncodedPixels) and the images in {images}/. {'' if is_url(raw_root) else download}"
        f"Sources found under {raw_root}: {', '.join(_sources(raw_root)) or 'none'}; `data_source: sample` in "
        "conf/local/globals.yml needs no files."
    )


def _sources(raw_root: RawFile) -> list[str]:
    if isinstance(raw_root, Path):
        return sorted(path.name for path in raw_root.glob("*") if path.is_dir())
    try:
        entries = list_folder(raw_root)
    except FileNotFoundError:
        return []
    return sorted(name for name, entry in entries.items() if entry["type"] == "directory")


class PartlyRunnable(InputError):
    """Some nodes of a pipeline lack what they need: says which others can be run, and why the rest is left out."""

    def __init__(self, message: str, reasons: list[str], pipeline: Pipeline, runnable: list[str]) -> None:
        super().__init__(
            f"{message}. The kedro command leaves out what lacks its inputs and runs the rest; in a script use `from "
            "kedro.framework.project import settings; settings.SESSION_CLASS.create(...)`, as it does"
        )
        self.reasons = reasons
        self.runnable = runnable
        self.lost_tags = {tag for node in pipeline.nodes if node.name not in runnable for tag in node.tags}


class ServedByOtherTask(InputError):
    """A pipeline's task has no model; the pipeline of that name serves the task that has one."""

    def __init__(self, message: str, reason: str, pipeline_name: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.pipeline_name = pipeline_name


class InputHooks:
    """Refuse a run whose inputs were never made, or do not belong together, before its first node."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember whose models this run looks at."""
        names = context.config_loader["globals"]
        self._data_source = names.get("data_source")
        self._model_source = names.get("model_source", self._data_source)

    # Before plugins' hooks, which a run that leaves tasks out would call twice.
    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Check the datasets that the pipeline loads but does not make."""
        trained = [task for task in TRAINED_TASKS if model_of(task) in pipeline.all_outputs()]
        if trained and self._model_source != self._data_source:
            raise InputError(
                f"model_source is '{self._model_source}', so that a model trained on '{self._data_source}' would take "
                f"the place of its {' and '.join(trained)} model. Leave model_source out of conf/local/globals.yml to "
                "train; to look at other sheets with those models, run the stages after training: splits, evaluation, "
                "interpretation"
            )
        _check_masks(pipeline, catalog)
        needed = sorted(name for name in pipeline.inputs() if not is_parameter(name))
        missing = [name for name in needed if _is_missing(catalog.get(name))]
        if missing:
            message = "; ".join(
                f"{name} was never made, or is not kept between runs: {way_to_make(name)}" for name in missing
            )
            # a version that was asked for and is not there is a mistake, not a task to leave out
            not_pinned = set(missing) - set(run_params["load_versions"] or {})
            left_out = [task for task in TASKS if model_of(task) in not_pinned]
            runnable = nodes_of_other_tasks(pipeline, left_out) if left_out else []
            reasons = [
                f"The {task} task is left out, because it has no model: {way_to_make(model_of(task))} trains it."
                for task in left_out
            ]
            if runnable:
                raise PartlyRunnable(message, reasons, pipeline, runnable)
            other = _pipeline_of_other_task(run_params["pipeline_names"], catalog) if left_out else None
            if other:
                reason = f"{' '.join(reasons)} The pipeline {other} is run in its place, whose results bear its task."
                raise ServedByOtherTask(message, reason, other)
            raise InputError(message)
        # a run killed between two writes leaves tensors and index of different runs
        versions = {name: _load_version(catalog.get(name)) for name in VERSIONED_TOGETHER if name in needed}
        if len(set(versions.values())) > 1:
            found = ", ".join(f"{name} of {version}" for name, version in versions.items())
            raise InputError(
                f"The latest tensors and index come from different runs ({found}), so their rows may not match. "
                "`kedro run --pipeline=data_processing` makes all three anew; --load-versions pins matching ones."
            )


class ModelHooks:
    """Refuse models of other sheets, or of another split, than the run looks at, before a node has written anything."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember whose sheets this run looks at."""
        self._data_source = context.config_loader["globals"]["data_source"]

    # After the hooks that choose what is run: to load a model takes seconds.
    @hook_impl(trylast=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Check each model that the pipeline loads together with sheets."""
        for task in TRAINED_TASKS:
            parts = (model_of(task), "sheets", f"{task}.split")
            is_free = {model_of(task), "sheets"} <= pipeline.inputs() and parts[2] not in pipeline.all_outputs()
            if not (is_free and catalog.exists(parts[2])):
                continue
            from steel_xai.description import check_lineage

            model, sheets, split = (catalog.load(name) for name in parts)
            try:
                check_lineage(model.description, sheets, split, self._data_source)
            except InputError as error:
                raise InputError(f"{model_of(task)}: {error}") from None


def _pipeline_of_other_task(names: list[str] | None, catalog: CatalogProtocol) -> str | None:
    """Name the pipeline that does for a task with a model what the one that was asked for does for another."""
    others = [(f"{name}_{task}", task) for name in names or [] for task in TASKS if len(names or []) == 1]
    return next((name for name, task in others if name in pipelines and catalog.exists(model_of(task))), None)


def _check_masks(pipeline: Pipeline, catalog: CatalogProtocol) -> None:
    """Refuse what needs masks where labels come without any; what else there is can be run."""
    lacking = [node.name for node in pipeline.nodes if NEEDS_MASKS in node.tags]
    if not lacking or not _lacks_masks(pipeline, catalog):
        return
    from steel_xai.sheets.annotations import MASK_COLUMNS

    message = (
        f"the labels come without masks, which {', '.join(sorted(lacking))} need; give masks in train.csv (columns "
        f"{','.join(MASK_COLUMNS)})"
    )
    runnable = [node.name for node in (pipeline - pipeline.from_nodes(*lacking)).nodes]
    reasons = [f"Some nodes are left out, and what follows from them: {message}."]
    raise PartlyRunnable(message, reasons, pipeline, runnable) if runnable else InputError(message)


def _lacks_masks(pipeline: Pipeline, catalog: CatalogProtocol) -> bool:
    """Look at the columns of the labels that the run reads, or else at the masks that an earlier one wrote."""
    if "raw_annotations" in pipeline.inputs():
        from steel_xai.sheets.annotations import LABEL_COLUMNS

        return catalog.exists("raw_annotations") and set(catalog.load("raw_annotations").columns) == set(LABEL_COLUMNS)
    return "masks" in pipeline.inputs() and catalog.exists("masks") and not len(catalog.load("masks"))


def model_of(task: str) -> str:
    """Name the dataset whose existence decides whether stages serve the task."""
    return f"{task}.model"


def way_to_make(name: str) -> str:
    """Name the command of the smallest pipeline that makes a dataset."""
    makers = [(len(pipeline.nodes), maker) for maker, pipeline in pipelines.items() if name in pipeline.all_outputs()]
    return f"`kedro run --pipeline={min(makers)[1]}`" if makers else "no pipeline makes it"


def nodes_of_other_tasks(pipeline: Pipeline, left_out: list[str]) -> list[str]:
    """Name the nodes that need nothing of the tasks left out; none where the pipeline has no other task's model."""
    if not any(model_of(task) in pipeline.all_inputs() for task in set(TASKS) - set(left_out)):
        return []
    prefixes = tuple(f"{task}." for task in left_out)
    inputs = [name for name in pipeline.inputs() if name.startswith(prefixes)]
    own = [node.name for node in pipeline.nodes if f"{node.namespace}.".startswith(prefixes)]
    others = pipeline - pipeline.from_inputs(*inputs) - pipeline.from_nodes(*own)
    return [node.name for node in others.nodes]


def _load_version(dataset: Any) -> str | None:
    return dataset.resolve_load_version() if isinstance(dataset, AbstractVersionedDataset) else None


def _is_missing(dataset: Any) -> bool:
    """Tell whether a result is not there; raw files and folders have checks of their own."""
    kept = isinstance(dataset, AbstractVersionedDataset) and dataset.resolve_save_version() is not None
    return (kept or isinstance(dataset, MemoryDataset)) and not dataset.exists()
