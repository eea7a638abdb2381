"""Errors that a user can mend, told in one message that names the cause and the way out."""


class InputError(ValueError):
    """What the user gave (a file, a row, a parameter) cannot be used; the message says what to do."""


class DiskError(InputError):
    """A file cannot be written: the disk is full, or may not be written to. No fault of what was being worked on."""
