import signal
import sys
import time
import weakref

import pytest

from steel_xai.interrupts import heard_interrupts


class Thing:
    pass


def interrupt_in_a_callback(kind=KeyboardInterrupt):
    """Raise where Python drops what is raised."""

    def callback(reference):
        if kind is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        else:
            raise kind

    thing = Thing()
    kept = weakref.ref(thing, callback)
    del thing
    assert kept() is None


def test_an_interruption_that_python_drops_is_raised_again():
    def work():
        interrupt_in_a_callback()
        time.sleep(5)

    with heard_interrupts(), pytest.raises(KeyboardInterrupt):
        work()


def test_other_errors_in_callbacks_are_reported_as_ever(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: reported.append(dropped.exc_type))
    with heard_interrupts():
        interrupt_in_a_callback(ValueError)
    assert reported == [ValueError]


def test_the_hook_is_given_back():
    before = sys.unraisablehook
    with heard_interrupts():
        assert sys.unraisablehook is not before
    assert sys.unraisablehook is before
