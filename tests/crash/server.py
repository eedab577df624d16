"""A warm process of kist with the library preloaded: it forks for each request, so that no command starts Python anew.

Run as a program it reads requests, pickled ``(module, function, arguments)``, and answers ``(result, traceback)``.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).parent


class Server:
    """Starts the process and asks it.

    Args:
        library: what to preload, None for nothing.
        environment: the variables of the process.
    """

    def __init__(self, library, environment):
        variables = {**environment, "PYTHONDONTWRITEBYTECODE": "1"}
        if library is not None:
            variables["LD_PRELOAD"] = str(library)
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1
        )

    def ask(self, function, *args):
        """Call a function of a module of this folder there, in a fork.

        Args:
            function: a function at the top of a module.
            args: what it gets; can be pickled.

        Returns:
            What it returned.
        """
        pickle.dump((function.__module__, function.__name__, args), self._process.stdin)
        self._process.stdin.flush()
        result, trace = pickle.load(self._process.stdout)
        assert trace is None, trace
        return result

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _answer(request):
    """Do one request in a fork."""
    import importlib

    from crash_support import in_child

    module, name, args = request

    def work():
        return getattr(importlib.import_module(module), name)(*args)

    code, result, trace = in_child(work, patience=None)
    return result, trace or (None if code == 0 else f"the fork ended with {code}")


def _work_once():
    """Run commands of many kinds here, so that no fork has to load, compile or find again what they all need."""
    from crash_support import good
    from scenes import make_versioned

    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="kist-crash-") as folder:
        make_versioned(folder)
        root = os.path.join(folder, "work")
        for words in (
            ("status",),
            ("verify",),
            ("checkout", "--rev", "v1"),
            ("commit",),
            ("push",),
            ("fetch",),
            ("doctor",),
        ):
            good(root, *words)
        for words in ("diff",), ("log",), ("list", "-R"), ("trash",), ("gc", "--dry-run"), ("move", "data", "moved"):
            good(root, *words)
        os.chdir(before)


def main():
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    os.environ.pop("LD_PRELOAD", None)  # programs that are started, such as Git, go without it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from warm import load_all

    load_all()
    _work_once()
    requests = os.fdopen(os.dup(0), "rb")
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = _answer(request)
        except BaseException:
            answer = (None, traceback.format_exc())
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
