import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image

from steel_xai.config import inherit_sections
from steel_xai.lineage.content import content_of
from steel_xai.lineage.records import InputState, Record, write_record
from steel_xai.parameters import ComparisonParameters
from steel_xai.report import open_study
from steel_xai.results import latest_results

PARAMETERS = Path(__file__).parents[3] / "conf" / "base" / "parameters"
FIRST, SECOND = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"

SCORES = {"accuracy": 0.81, "balanced_accuracy": 0.82, "f1": 0.83, "auc": 0.84}
METRICS: dict[str, Any] = {
    "data_source": "sample",
    "model_trained_on": "sample",
    "model": "reduced_squeezenet",
    "weights": "random",
    "seed": 0,
    "interrupted": False,
    "n_left_out": 0,
    "n_train_by_class": {"no defect": {"copies": 0}, "defect": {"copies": 0}},
    "n_test": 200,
    "n_test_by_class": {"no defect": 92, "defect": 108},
    "test": SCORES,
    "test_intervals": {name: [value - 0.05, value + 0.05] for name, value in SCORES.items()},
    "test_by_class": {
        name: {"precision": 0.8, "recall": 0.7, "f1": 0.75, "auc": 0.84, "n": n, "intervals": {}}
        for name, n in {"no defect": 92, "defect": 108}.items()
    },
    "baseline": dict.fromkeys(SCORES, 0.5),
    "baseline_intervals": {name: [0.4, 0.6] for name in SCORES},
    "ms_per_batch_of_5": 20.4,
}
AUDIT = {
    "name": "white stains",
    "verdict": "shortcut",
    "sentence": "The model takes white stains for a sign of no defect.",
    "tests": {"paste": {"holds": True, "sentence": "Pasting flips 35%."}, "removal": {"holds": None, "sentence": "-"}},
    "effect_size": None,
}
ATTRIBUTION = pd.DataFrame(
    {
        "method": ["gradcam", "lime", "local_contrast", "gradcam_random_network"],
        "kind": ["method", "method", "control", "control"],
        "dice": [0.41, 0.23, 0.24, 0.1],
        "dice_low": [0.37, 0.2, 0.2, 0.05],
        "dice_high": [0.46, 0.3, 0.3, 0.2],
        "gain": [0.17, -0.01, 0.0, -0.1],
        "gain_low": [0.13, -0.1, 0.0, -0.2],
        "gain_high": [0.22, 0.1, 0.0, -0.05],
        "n": [64, 64, 64, 12],
        "validation_dice": [0.4, 0.5, 0.2, 0.1],
        "n_validation": [16, 6, 16, 12],
        "beats_every_control": [True, False, None, None],
    }
)


class StudyFolder:
    """Results on disk, and the study that is read from them."""

    def __init__(self, root, data_source="sample"):
        self.root = root
        self.data_source = data_source

    def save(self, name, content, version=FIRST, layer="08_reporting", inputs=None, **record):
        """Write a version of a dataset; with ``inputs``, the names of datasets, also the record of its making."""
        suffix = {dict: ".json", pd.DataFrame: ".csv", Image.Image: ".png", str: ".json"}[type(content)]
        *task, short = name.split(".")
        folder = Path(self.root, layer, self.data_source, *task, short + suffix, version)
        folder.mkdir(parents=True)
        path = folder / (short + suffix)
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        elif isinstance(content, Image.Image):
            content.save(path)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        if inputs is not None:
            self._record(name, path, version, inputs, record)
        return path

    def _record(self, name, path, version, inputs, changed):
        results = latest_results(self.root, self.data_source)
        states = {
            other: InputState(version=results[other].version, content=content_of(results[other].path))
            for other in inputs
        }
        values = {
            "dataset": name,
            "version": version,
            "node": f"make_{name}",
            "pipeline": "__default__",
            "inputs": states,
            "parameters": {},
            "code": "",
            "sources": {},
            "content": content_of(path),
            "size": path.stat().st_size,
            "modified_ns": path.stat().st_mtime_ns,
            "made_at": "2026-01-01T00:00:00Z",
            "seconds": 60.0,
            "package_version": "0.1.0",
            "git_commit": None,
        }
        write_record(path.parent, Record.model_validate(values | changed))

    def save_model(self, task="binary", version=FIRST, **changed):
        """Write the description of a model, without its weights."""
        folder = Path(self.root, "06_models", self.data_source, task, "model", version, "model")
        folder.mkdir(parents=True)
        about = {
            "architecture": "reduced_squeezenet",
            "batch_norm": True,
            "outputs": ["no defect", "defect"],
            "tensor_size": [64, 400],
            "patches": None,
            "weights": "random",
            "seed": 0,
            "data_source": self.data_source,
            "n_train": 600,
            "best_epoch": 7,
            "epochs_run": 12,
            "seconds_training": 190.0,
            "interrupted": False,
            "versions": {"torch": "2.15.0"},
            "parameters": {"class_weights": "none"},
        }
        (folder / "model.json").write_text(json.dumps(about | changed))

    def open(self, class_names=("chips", "cracks")):
        """Read what there is."""
        return open_study(
            latest_results(self.root, self.data_source),
            data_source=self.data_source,
            class_names=class_names,
            published=published(),
        )


@cache
def published():
    """The project's own variants of each task, with the study's scores."""
    sections: dict[str, Any] = {}
    for name in ("comparison", "model", "splits", "tasks"):
        for key, value in yaml.safe_load((PARAMETERS / f"{name}.yml").read_text()).items():
            sections[key] = sections.get(key, {}) | value
    tasks = inherit_sections(sections)
    return {task: ComparisonParameters.model_validate(tasks[task]["comparison"]) for task in ("binary", "multi")}


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path)


@pytest.fixture
def picture():
    """A picture of 60 x 20 pixels, drawn on nothing."""
    drawn = Image.new("RGBA", (60, 20))
    drawn.paste((0, 114, 178, 255), (10, 5, 50, 15))
    return drawn
