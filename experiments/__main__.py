"""`python -m experiments`, the same as the console script `checkerscope`."""

from __future__ import annotations

import os
import signal
import sys

import click

from experiments.cli import cli


class _Stopped(BaseException):
    """A termination signal arrived."""

    def __init__(self, number: int) -> None:
        self.number = number


def main() -> None:
    """Run the command line and exit: 0 ok, 1 failure, 2 usage or config, 3 some runs failed, 4 numbers differ."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    sys.exit(_run())


def _stop(number: int, frame: object) -> None:
    signal.signal(number, lambda n, f: os._exit(128 + n))  # a second signal ends it at once
    raise _Stopped(number)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted; finished runs are kept, start again to go on")
        return 130
    except _Stopped as stopped:
        _complain("stopped; finished runs are kept, start again to go on")
        return 128 + stopped.number
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; the work is done
        return 0
    except ValueError as error:  # every bad input of the project is a ValueError with its own remedy
        _complain(str(error))
        return 2
    except OSError as error:
        _complain(f"{error.filename or 'system'}: {error.strerror or error}")
        return 1
    return code if isinstance(code, int) else 0


def _complain(text: str) -> None:
    for line in text.splitlines():
        click.echo(f"error: {line}", err=True)


if __name__ == "__main__":
    main()
