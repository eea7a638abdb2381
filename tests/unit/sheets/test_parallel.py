import threading
import time

import numpy as np
import pytest

from steel_xai.sheets.parallel import map_batches


@pytest.mark.parametrize(("n_jobs", "batch_size"), [(1, 3), (2, 1), (2, 3), (2, 10), (2, 99)])
def test_every_item_is_seen_once_and_in_order(n_jobs: int, batch_size: int) -> None:
    items = np.arange(10)
    results = list(
        map_batches(lambda rows: items[rows], 10, n_jobs=n_jobs, batch_size=batch_size, description="", unit="item")
    )
    assert np.concatenate([result for _, result in results]).tolist() == items.tolist()
    assert all(items[rows].tolist() == result.tolist() for rows, result in results)
    assert max(len(result) for _, result in results) == min(batch_size, 10)


def test_no_items_give_no_batches() -> None:
    assert list(map_batches(lambda rows: rows, 0, n_jobs=2, batch_size=3, description="", unit="item")) == []


def test_batches_run_at_the_same_time() -> None:
    # Each of the two calls waits for the other: one thread alone would run into the timeout.
    meeting = threading.Barrier(2, timeout=10)
    results = map_batches(lambda rows: meeting.wait(), 2, n_jobs=2, batch_size=1, description="", unit="item")
    assert {place for _, place in results} == {0, 1}


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_batches(lambda rows: 1 // 0, 4, n_jobs=2, batch_size=1, description="", unit="item"))


def test_progress_counts_the_items(capsys: pytest.CaptureFixture[str]) -> None:
    list(map_batches(lambda rows: None, 7, n_jobs=1, batch_size=3, description="white stains", unit="sheet"))
    shown = capsys.readouterr().err
    assert "white stains: 100%" in shown
    assert "7/7" in shown


def test_no_call_goes_on_behind_a_failure():
    """In its place the process could be shut down, which a thread within OpenCV turns into an abort."""
    under_way = []

    def work(batch):
        under_way.append(batch)
        time.sleep(0.1)
        under_way.remove(batch)

    results = map_batches(work, 20, n_jobs=3, batch_size=1, description="", unit="call")
    next(results)
    results.close()
    assert under_way == []
