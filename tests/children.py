"""Run a piece of a test in a forked child, which ends there whatever happens: it must never go on as a second test run."""

import faulthandler
import os
import sys
import traceback

NOBODY = 65534
PATIENCE = 120.0
"""Seconds after which a child is taken to hang: it shows where, and ends."""


def forked(work, patience=PATIENCE):
    """Start *work* in a fork of this process.

    Args:
        work: called without arguments; what it returns is lost.
        patience: seconds after which it is taken to hang; None: it may take any time, and may use this function itself.

    Returns:
        The child's process number; wait for it. It exits with 0, or with 1 and a traceback on stderr.
    """
    child = os.fork()
    if child == 0:
        _live(work, patience)
    return child


def code_of(child):
    """Wait for a child: its exit code, or minus the number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def as_nobody(action):
    """Run *action* as an ordinary user: in a child, where this process is root."""
    if os.geteuid() != 0:
        action()
        return

    def dropped():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        action()

    assert code_of(forked(dropped)) == 0


def _live(work, patience):
    code = 1
    try:
        if patience is not None:
            faulthandler.dump_traceback_later(patience, exit=True, file=sys.__stderr__)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
