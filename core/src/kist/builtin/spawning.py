"""Start worker processes as fresh interpreters that import nothing from the current folder.

A fresh interpreter that is told what to do by ``-c`` looks for modules in the current folder first, and that may be a
cloned repository with a ``multiprocessing.py`` in it. ``-P`` and PYTHONSAFEPATH keep it from that.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

_SAFE_PATH = "PYTHONSAFEPATH"
_starting = threading.Lock()


@contextmanager
def _safe_path() -> Iterator[None]:
    """What is started meanwhile leaves the current folder alone."""
    with _starting:
        before = os.environ.get(_SAFE_PATH)
        os.environ[_SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_SAFE_PATH]
            else:
                os.environ[_SAFE_PATH] = before


class SafeProcess(SpawnProcess):
    """A process whose interpreter does not look into the current folder."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - the library's name
        with _safe_path():
            return SpawnProcess._Popen(process_obj)  # noqa: SLF001


class SafeSpawnContext(SpawnContext):
    """Makes such processes; the library's helper that tracks shared resources is started the same way."""

    Process = SafeProcess

    def __init__(self) -> None:
        super().__init__()
        with _safe_path():
            resource_tracker.ensure_running()
