from pathlib import Path, PurePath

from kedro.framework.project import pipelines, settings
from kedro.framework.startup import bootstrap_project

PROJECT = Path(__file__).parents[2]


def paths_within(value):
    """Yield the paths among a value's attributes, and theirs, of this project's classes and Kedro's."""
    if isinstance(value, PurePath):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from paths_within(entry)
    elif type(value).__module__.startswith(("steel_xai", "kedro")) and hasattr(value, "__dict__"):
        yield from paths_within(vars(value))


def test_no_dataset_depends_on_where_the_command_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bootstrap_project(PROJECT)
    with settings.SESSION_CLASS.create(PROJECT, env="test", save_on_close=False) as session:
        catalog = session.load_context().catalog
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    places = {name: list(paths_within(catalog.get(name))) for name in names}
    assert places["study_results"]
    assert {name for name, paths in places.items() if not all(path.is_absolute() for path in paths)} == set()
