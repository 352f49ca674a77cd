"""What ends this program when it is told to stop: no `except` around somebody's code may take it for theirs."""

from __future__ import annotations


class Stopped(BaseException):
    """A termination signal arrived."""

    def __init__(self, number: int) -> None:
        self.number = number


#: Raised by the handlers of signals.
STOPS = (KeyboardInterrupt, Stopped)
