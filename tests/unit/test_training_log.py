import json
import sys

import pytest

from steel_xai.errors import InputError
from steel_xai.training_log import PROGRESS, TENSORBOARD, check_logger, open_log

RECORDS = [
    {"epoch": epoch, "train_loss": 1 / epoch, "learning_rate": 3e-4 * epoch, "seconds": 2.5} for epoch in (1, 2, 3)
]


def read_lines(folder):
    return [json.loads(line) for line in (folder / PROGRESS).read_text().splitlines()]


def read_events(folder):
    """Read what TensorBoard would show: name -> step -> value."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / TENSORBOARD))
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def as_events(records):
    names = [name for name in records[0] if name != "epoch"]
    return {name: [(record["epoch"], pytest.approx(record[name])) for record in records] for name in names}


def test_each_record_is_readable_as_soon_as_it_is_written(tmp_path):
    pytest.importorskip("tensorboard")
    with open_log(tmp_path, [], "tensorboard") as log:
        for number, record in enumerate(RECORDS, start=1):
            log(record)
            assert read_lines(tmp_path) == RECORDS[:number]
            assert read_events(tmp_path) == as_events(RECORDS[:number])


def test_resumed_training_has_each_epoch_once_in_one_file(tmp_path):
    pytest.importorskip("tensorboard")
    with open_log(tmp_path, [], "tensorboard") as log:
        log(RECORDS[0])
        log(RECORDS[1])
    # The second epoch was logged, but killed before its checkpoint: it is trained again.
    again = {**RECORDS[1], "seconds": 9.0}
    with open_log(tmp_path, RECORDS[:1], "tensorboard") as log:
        assert read_events(tmp_path) == as_events(RECORDS[:1])
        log(again)
        log(RECORDS[2])
    assert read_events(tmp_path) == as_events([RECORDS[0], again, RECORDS[2]])
    assert read_lines(tmp_path) == [RECORDS[0], again, RECORDS[2]]
    assert len(list((tmp_path / TENSORBOARD).iterdir())) == 1


def test_without_a_logger_there_are_lines_alone(tmp_path):
    with open_log(tmp_path, RECORDS[:2], "none") as log:
        assert read_lines(tmp_path) == RECORDS[:2]
        log(RECORDS[2])
    assert read_lines(tmp_path) == RECORDS
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS]


def test_curves_of_an_earlier_training_do_not_stay_beside_another_ones_lines(tmp_path):
    pytest.importorskip("tensorboard")
    with open_log(tmp_path, RECORDS, "tensorboard"):
        pass
    with open_log(tmp_path, [], "none"):
        pass
    assert not list((tmp_path / TENSORBOARD).iterdir())


def test_files_are_closed_when_a_training_is_interrupted(tmp_path):
    def train():
        with open_log(tmp_path, [], "none") as log:
            log(RECORDS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert read_lines(tmp_path) == RECORDS[:1]


def test_missing_extra_is_named_with_the_way_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("steel_xai.training_log.find_spec", lambda name: None)
    with (
        pytest.raises(InputError, match=r"pip install '\.\[tensorboard\]'"),
        open_log(tmp_path, [], "tensorboard"),
    ):
        pass
    assert not list(tmp_path.iterdir())
    check_logger("none")


def test_tensorboard_is_imported_only_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with open_log(tmp_path, [], "none") as log:
        log(RECORDS[0])
    assert read_lines(tmp_path) == RECORDS[:1]
