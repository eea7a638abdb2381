import warnings

import pytest
from kedro.pipeline import Node, Pipeline

from steel_xai.pipeline_registry import register_pipelines
from steel_xai.pipelines.report import create_pipeline
from steel_xai.report.sections import PARTS
from steel_xai.report.study import TASKS


@pytest.fixture(scope="module")
def pipelines():
    return register_pipelines()


@pytest.mark.parametrize("stage", [stage for part in PARTS for stage in part.stages], ids=lambda stage: stage.heading)
def test_command_of_a_stage_makes_its_datasets(stage, pipelines):
    for task in TASKS:
        made = pipelines[stage.pipeline.format(task=task)].all_outputs()
        assert set(stage.names(task)) <= made


def test_every_result_of_the_study_belongs_to_a_stage(pipelines):
    known = {name for part in PARTS for stage in part.stages for task in TASKS for name in stage.names(task)}
    kept = {name for name in pipelines["__default__"].outputs() if not name.endswith(("_finished", "study_report"))}
    assert kept <= known


def make(*inputs):
    return inputs


def test_report_is_written_after_all_that_it_waits_for():
    tasks = [
        Pipeline(Pipeline([Node(make, None, ["metrics", "audit"], name="make")]), namespace=task) for task in TASKS
    ]
    shared = Pipeline([Node(make, None, "zeta", name="make_zeta")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study = sum(tasks, shared)
        whole = study + create_pipeline(after=study.outputs())
    assert whole.nodes[-1].name == "write_report"
    before = whole.to_nodes("write_report")
    assert {node.name for node in before.nodes} == {node.name for node in whole.nodes}


def test_report_alone_waits_for_nothing():
    report = create_pipeline()
    assert {name for name in report.inputs() if not name.startswith("params:")} == {"study_results"}
