import shutil

import pytest

from steel_xai.errors import InputError

SMALL = {"n_sheets": 20, "n_unlabelled": 0}


def test_unknown_source_is_told_where_its_files_belong(make_project):
    project = make_project(data_source="nowhere")
    with pytest.raises(InputError) as refused:
        project.run("data_processing")
    message = str(refused.value)
    for expected in ("'nowhere'", "train.csv", "train_images", "kaggle competitions download"):
        assert expected in message


def test_only_what_is_missing_is_named(make_project):
    project = make_project(data_source="mill")
    (project.data / "01_raw" / "mill" / "train_images").mkdir(parents=True)
    with pytest.raises(InputError, match=r"missing \S+train\.csv\. "):
        project.run("data_processing")


def test_sample_is_made_when_first_needed_and_then_kept(project):
    project.run("data_processing", {"sample": SMALL})
    made = {path: path.stat().st_mtime_ns for path in (project.data / "01_raw" / "sample").rglob("*")}
    project.run("data_processing")
    assert {path: path.stat().st_mtime_ns for path in (project.data / "01_raw" / "sample").rglob("*")} == made
    assert len(list((project.data / "01_raw" / "sample" / "train_images").iterdir())) == 20


def test_sample_asked_for_with_another_seed_is_made_anew(project):
    project.run("data_processing", {"sample": SMALL})
    before = project.load("raw_annotations")
    project.run("data_processing", {"sample": {**SMALL, "seed": 7}})
    assert not before.equals(project.load("raw_annotations"))


def test_another_sample_on_disk_is_used_with_a_warning(project, caplog):
    project.run("sample_data", {"sample": {**SMALL, "seed": 7}})
    before = project.load("raw_annotations")
    project.run("data_processing")
    assert before.equals(project.load("raw_annotations"))
    assert "other parameters" in caplog.text


def test_sample_never_writes_into_another_source(make_project):
    project = make_project(data_source="mill")
    folder = project.data / "01_raw" / "mill"
    (folder / "train_images").mkdir(parents=True)
    (folder / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    project.run("sample_data", {"sample": SMALL})
    assert sorted(path.name for path in folder.rglob("*")) == ["train.csv", "train_images"]
    assert (project.data / "01_raw" / "sample" / "train.csv").exists()


def test_misspelt_parameter_stops_the_run_before_any_file_is_made(project):
    with pytest.raises(InputError, match="'trainning' is no parameter"):
        project.run("data_processing", {"trainning": {"epochs": 1}})
    assert not project.data.exists()


def test_accepted_and_refused_sheets_are_the_raw_ones(project):
    project.run("sample_data", {"sample": SMALL})
    images = project.data / "01_raw" / "sample" / "train_images"
    broken, *_ = sorted(images.iterdir())
    broken.write_bytes(broken.read_bytes()[:500])
    project.run("data_processing")
    accepted, refused = project.load("sheet_index"), project.load("quarantine")
    assert refused["image_id"].tolist() == [broken.name]
    assert sorted([*accepted["image_id"], *refused["image_id"]]) == sorted(path.name for path in images.iterdir())


def test_missing_image_folder_is_named(make_project):
    project = make_project(data_source="mill")
    folder = project.data / "01_raw" / "mill"
    folder.mkdir(parents=True)
    (folder / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n")
    with pytest.raises(InputError, match=r"missing \S+train_images\. "):
        project.run("data_processing")


def test_source_given_as_a_parameter_is_refused_where_the_globals_say_another(project):
    with pytest.raises(InputError, match=r"conf/local/globals\.yml"):
        project.run("data_processing", {"data_source": "mill"})


def test_tensors_and_index_of_different_runs_are_refused(trained):
    index = trained.data / "03_primary" / "sample" / "sheet_index.csv"
    newest = max(index.iterdir())
    stray = newest.with_name("9999-01-01T00.00.00.000Z")
    shutil.copytree(newest, stray)
    try:
        with pytest.raises(InputError, match="different runs"):
            trained.run("binary_model", from_nodes=["binary.label_examples"])
    finally:
        shutil.rmtree(stray)


def test_input_that_was_never_made_is_named_with_the_command_that_makes_it(project):
    with pytest.raises(InputError, match=r"binary\.split was never made.*`kedro run --pipeline=splits`"):
        project.run("binary_model", node_names=["binary.train_model"])


def test_input_that_is_not_kept_is_named_with_the_command_that_makes_it(trained):
    with pytest.raises(InputError, match=r"^accepted_sheets was never made.*--pipeline=data_processing"):
        trained.run("__default__", node_names=["index_sheets"])
