import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steel_xai.lineage.content import content_of, size_and_time
from steel_xai.lineage.records import InputState, Record, write_record
from steel_xai.pruning import plan_pruning, remove
from steel_xai.results import dataset_folders, latest_results, result_of, versions

PLACES = {
    "sheets": "03_primary/mill/sheets.npy",
    "binary.model": "06_models/mill/binary/model",
    "binary.metrics": "08_reporting/mill/binary/metrics.json",
}


def version(day):
    return f"2026-01-{day:02}T00.00.00.000Z"


def save(root, name, day, text, made_from=(), record=True, place=None):
    """Save a version; ``made_from`` are pairs of a dataset and the day of its version, which may be gone."""
    folder = root / (place or PLACES[name])
    label = day if isinstance(day, str) else version(day)
    path = folder / label / folder.name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    if not record:
        return
    states = {}
    for source, when, content in made_from:
        states[source] = InputState(version=version(when), content=content)
    size, modified_ns = size_and_time(path)
    write_record(
        path.parent,
        Record(
            dataset=name,
            version=label,
            node="n",
            pipeline="p",
            inputs=states,
            parameters={},
            code="",
            sources={},
            content=content_of(path),
            size=size,
            modified_ns=modified_ns,
            made_at="",
            seconds=0,
            package_version="",
            git_commit=None,
        ),
    )


def content(root, name, day):
    folder = root / PLACES[name]
    return content_of(folder / version(day) / folder.name)


def left(root):
    return {name: versions(folder) for name, folder in dataset_folders(root, "mill").items()}


def removed(plan):
    return {(removal.dataset, removal.version) for removal in plan.removals}


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_newest_versions_stay(tmp_path, keep):
    for day in (1, 2, 3):
        save(tmp_path, "sheets", day, f"sheets {day}")
    plan = plan_pruning(tmp_path, "mill", keep)
    assert removed(plan) == {("sheets", version(day)) for day in range(1, 4 - keep)}
    remove(plan.removals)
    assert left(tmp_path) == {"sheets": [version(day) for day in (3, 2, 1)[:keep]]}


def test_what_a_kept_version_was_made_from_stays_directly_and_through_others(tmp_path):
    save(tmp_path, "sheets", 1, "one")
    save(tmp_path, "binary.model", 1, "model", [("sheets", 1, content(tmp_path, "sheets", 1))])
    save(tmp_path, "sheets", 2, "two")
    save(tmp_path, "sheets", 3, "three")
    save(tmp_path, "binary.model", 2, "better", [("sheets", 2, content(tmp_path, "sheets", 2))])
    save(tmp_path, "binary.metrics", 1, "0.9", [("binary.model", 1, content(tmp_path, "binary.model", 1))])
    plan = plan_pruning(tmp_path, "mill", 1)
    assert removed(plan) == set()
    assert {(result.name, result.version) for result in plan.needed} == {
        ("sheets", version(1)),
        ("sheets", version(2)),
        ("binary.model", version(1)),
    }


def test_of_what_is_gone_a_version_of_equal_content_stays(tmp_path):
    save(tmp_path, "sheets", 2, "one")
    save(tmp_path, "sheets", 3, "two")
    save(tmp_path, "sheets", 4, "three")
    equal = content(tmp_path, "sheets", 2)
    save(tmp_path, "binary.model", 1, "model", [("sheets", 1, equal)])
    assert removed(plan_pruning(tmp_path, "mill", 1)) == {("sheets", version(3))}


def test_of_a_version_without_a_record_all_that_was_the_newest_then_stays(tmp_path):
    for day in (1, 2, 4):
        save(tmp_path, "sheets", day, f"{day}", record=False)
    save(tmp_path, "binary.model", 3, "model", record=False)
    assert removed(plan_pruning(tmp_path, "mill", 1)) == {("sheets", version(1))}


def test_models_that_results_of_another_source_were_made_by_stay(tmp_path):
    for day in (1, 2, 3):
        save(tmp_path, "binary.model", day, f"{day}")
    made_from = [("binary.model", 1, content(tmp_path, "binary.model", 1))]
    save(tmp_path, "binary.metrics", 1, "x", made_from, place="08_reporting/steel/binary/metrics.json")
    assert removed(plan_pruning(tmp_path, "mill", 1)) == {("binary.model", version(2))}


def test_folders_named_by_hand_are_left_alone_and_listed_with_what_they_were_made_from(tmp_path):
    save(tmp_path, "sheets", 1, "one")
    save(tmp_path, "sheets", 2, "two")
    save(tmp_path, "sheets", 3, "three")
    save(tmp_path, "binary.model", "best", "model", [("sheets", 1, content(tmp_path, "sheets", 1))])
    save(tmp_path, "binary.model", 4, "model 4")
    save(tmp_path, "binary.model", 5, "model 5")
    plan = plan_pruning(tmp_path, "mill", 1)
    assert removed(plan) == {("sheets", version(2)), ("binary.model", version(4))}
    assert [folder.name for folder in plan.named_by_hand] == ["best"]


def test_raw_data_work_folders_other_sources_and_unfinished_versions_are_never_touched(tmp_path):
    for day in (1, 2):
        save(tmp_path, "sheets", day, f"{day}")
    others = [
        "01_raw/mill/train.csv/2026-01-01T00.00.00.000Z/train.csv",
        "01_raw/mill/train_images/a.jpg",
        "03_primary/mill/.work/2026-01-01T00.00.00.000Z/.work",
        "03_primary/mill/sheets.npy/2026-01-01T00.00.00.001Z/.x.partial/sheets.npy",
        "03_primary/steel/sheets.npy/2026-01-01T00.00.00.000Z/sheets.npy",
        "03_primary/steel/sheets.npy/2026-01-02T00.00.00.000Z/sheets.npy",
        "notes/mill/a.csv/2026-01-01T00.00.00.000Z/a.csv",
    ]
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    plan = plan_pruning(tmp_path, "mill", 1)
    assert removed(plan) == {("sheets", version(1))}
    remove(plan.removals)
    assert all((tmp_path / name).exists() for name in others)


def test_planning_deletes_nothing_and_counts_the_bytes_that_are_freed(tmp_path):
    save(tmp_path, "sheets", 1, "x" * 1000)
    save(tmp_path, "sheets", 2, "y")
    before = sorted(tmp_path.rglob("*"))
    plan = plan_pruning(tmp_path, "mill", 1)
    assert sorted(tmp_path.rglob("*")) == before
    on_disk = sum(path.stat().st_size for path in plan.removals[0].folder.iterdir())
    assert remove(plan.removals) == plan.removals[0].size == on_disk > 1000
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".pruned")]


def test_a_version_that_is_gone_meanwhile_is_passed_over(tmp_path):
    for day in (1, 2, 3):
        save(tmp_path, "sheets", day, f"{day}")
    plan = plan_pruning(tmp_path, "mill", 1)
    shutil.rmtree(plan.removals[0].folder)
    assert remove(plan.removals) == plan.removals[1].size
    assert left(tmp_path) == {"sheets": [version(3)]}


def test_a_version_is_out_of_sight_before_its_first_file_goes(tmp_path, monkeypatch):
    for day in (1, 2):
        save(tmp_path, "sheets", day, f"{day}")
    seen = []

    def watch(folder, **_):
        seen.append((left(tmp_path), Path(folder).is_dir()))

    plan = plan_pruning(tmp_path, "mill", 1)
    monkeypatch.setattr("steel_xai.pruning.shutil.rmtree", watch)
    remove(plan.removals)
    assert seen == [({"sheets": [version(2)]}, True)]


def test_leftovers_of_a_killed_removal_go_with_the_next(tmp_path):
    for day in (1, 2):
        save(tmp_path, "sheets", day, f"{day}")
    folder = tmp_path / "03_primary" / "mill"
    dead, alive = folder / ".pruned-999999999-sheets.npy-x", folder / f".pruned-{os.getpid()}-sheets.npy-x"
    for trash in (dead, alive):
        trash.mkdir()
        (trash / "sheets.npy").touch()
    assert latest_results(tmp_path, "mill").keys() == {"sheets"}
    remove(plan_pruning(tmp_path, "mill", 1).removals)
    assert not dead.exists()
    assert alive.exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_history_every_kept_version_keeps_what_it_was_made_from(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("history")
    names = list(PLACES)
    saved: list[tuple[str, int]] = []
    for day in range(1, data.draw(st.integers(2, 9)) + 1):
        name = data.draw(st.sampled_from(names))
        earlier = [(other, when) for other, when in saved if other != name]
        chosen = (
            data.draw(st.lists(st.sampled_from(earlier), max_size=2, unique_by=lambda pair: pair[0])) if earlier else []
        )
        made_from = [(other, when, content(root, other, when)) for other, when in chosen]
        save(root, name, day, data.draw(st.sampled_from(["a", "b"])), made_from)
        saved.append((name, day))
    keep = data.draw(st.integers(1, 3))
    before = left(root)
    remove(plan_pruning(root, "mill", keep).removals)
    after = left(root)
    assert {name: found[:keep] for name, found in after.items()} == {
        name: found[:keep] for name, found in before.items()
    }
    for name, found in after.items():
        for kept in found:
            record = result_of(name, root / PLACES[name], kept).record
            assert record is not None
            assert all(state.version in after[source] for source, state in record.inputs.items())
    # and pruning again finds nothing more
    assert plan_pruning(root, "mill", keep).removals == ()
