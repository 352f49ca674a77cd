"""`python -m experiments`, the same as the console script `checkerscope`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from experiments.cli import cli
from experiments.stopping import Stopped

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Run the command line and exit with the code of `run`."""
    _open_standard_streams()
    for number in STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:  # what nohup ignores stays ignored
            signal.signal(number, _stop)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code.

    0 done, 1 failure, 2 usage or config, 3 some runs failed, 4 numbers differ from the committed ones, 128 + the
    signal when stopped by one.
    """
    try:
        code = cli.main(list(arguments), prog_name="checkerscope", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _stopped("interrupted", signal.SIGINT)
    except Stopped as stopped:
        return _stopped("stopped", stopped.number)
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


def _stop(number: int, frame: object) -> None:
    for any_number in STOPPING:  # a second signal ends it at once
        signal.signal(any_number, lambda n, f: os._exit(128 + n))
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


def _stopped(how: str, number: int) -> int:
    return _complain(f"{how}; finished runs are kept, start again to go on", 128 + number)


def _system(error: OSError) -> int:
    code = _complain(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    return _silence(code)


def _complain(text: str, code: int) -> int:
    for line in text.rstrip("\n").split("\n"):
        # names come from files: none of them may move the cursor
        click.echo("error: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in line), err=True)
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
