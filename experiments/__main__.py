"""`python -m checkerscope`, the same as the console script `checkerscope`.

Even click is imported only after the signal handlers are set: a command that is told to stop says so in one line.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from checkerscope.experiments.errors import STOPPING, Stopped, printable


class _Signal:
    """The signal that arrived, for `run`: the exception that the handler raises may be swallowed on its way."""

    number = 0


def main() -> None:
    """Run the command line and exit with the code of `run`."""
    _open_standard_streams()
    _answer_signals(_stop)
    code = run(sys.argv[1:])
    _answer_signals(_leave)  # an exception would find nobody to catch it now
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code.

    0 done, 1 failure, 2 usage or config, 3 some runs failed, 4 numbers differ from the committed ones, 128 + the
    signal when stopped by one.
    """
    import click

    try:
        code = _command(arguments)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        if isinstance(error.__cause__, EOFError):  # click takes the end of any file for Ctrl-D
            raise error.__cause__ from None
        return _stopped(signal.SIGINT)
    except Stopped as stopped:
        return _stopped(stopped.number)
    except ValueError as error:  # every bad input of the project is a ValueError with its own remedy
        return _complain(str(error), 2)
    except OSError as error:
        return _system(error)
    except SystemExit as exit_:  # click's answer to a closed pipe: the reader has gone, and the work is done
        return _silence(0) if exit_.code == 1 else int(exit_.code or 0)
    except Exception as error:
        if type(error).__name__ != "StoreError":  # not imported here: it would cost `--help` a third of its time
            raise
        return _complain(str(error), 1)
    return code if isinstance(code, int) else 0


def _command(arguments: Sequence[str]) -> object:
    from checkerscope.experiments.cli.root import cli

    try:
        code = cli.main(list(arguments), prog_name="checkerscope", standalone_mode=False)
        sys.stdout.flush()
    finally:
        if _Signal.number:  # whatever somebody's code has made of it
            raise Stopped(_Signal.number)
    return code


def _answer_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # what nohup ignores stays ignored
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    _answer_signals(_leave)  # a second signal ends it at once
    if _is_importing(frame):
        with contextlib.suppress(OSError):
            os.write(2, f"error: {_last_words(number)}\n".encode())  # not sys.stderr: it may be in the middle of a line
        _leave(number, frame)
    _Signal.number = number
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether an import is under way.

    Half of a package is imported inside `try` statements and C++ that swallow an exception, make another one of it, or
    end the process by themselves; and nothing is lost if the process ends here: workers notice and save their state.
    """
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _stopped(number: int) -> int:
    return _complain(_last_words(number), 128 + number)


def _last_words(number: int) -> str:
    how = "interrupted" if number == signal.SIGINT else "stopped"
    return f"{how}; finished runs are kept, start again to go on"


def _system(error: OSError) -> int:
    code = _complain(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    return _silence(code)


def _complain(text: str, code: int) -> int:
    import click

    for line in text.rstrip("\n").split("\n"):
        click.echo("error: " + printable(line), err=True)  # names come from files
    return code


def _silence(code: int) -> int:
    """Turn standard output away, so that the interpreter's last flush cannot fail a second time."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: else a result file would become number 1 or 2."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


if __name__ == "__main__":
    main()
