"""The error tree and the warning class of this package. Every error says what was expected,
received, and how to fix it.
"""


class InitCheckError(Exception):
    """Base of everything that this package raises on its own behalf, apart from `ValueError` and
    `TypeError` for arguments.
    """


class ProbeError(InitCheckError):
    """The model could not be probed: it does not run on this batch, or has no output that a
    gradient could start from.
    """


class DataError(InitCheckError):
    """The data gave no usable batch: it is empty, has the wrong shape or dtype, or does not fit the
    model's loss.
    """


class MissingPackageError(InitCheckError, ImportError):
    """A package that only this output needs is not installed."""


class DriftError(InitCheckError):
    """`InitCheck(on_drift="raise")` met a finding that is a warning or an error.

    Args:
        message: The findings, as text.
        report: The `keras_initcheck.Report` that holds them.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class InitCheckWarning(UserWarning):
    """What `InitCheck` found, or why it had to step aside while training went on."""
