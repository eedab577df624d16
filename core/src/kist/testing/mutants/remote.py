"""The kind ``remote``: its reference, its fixtures, and all of its mutants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kist.errors import RemoteAuthError, RemotePermissionError, RemoteUnavailable
from kist.remotes.memory import MemoryRemote, Stored
from kist.testing.faults import Gate, RawMemory
from kist.testing.mutants.running import Kind
from kist.testing.remote import StrictRemoteContract

SECRET = "mutant-secret-4711"  # noqa: S105 (what mutants leak)


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    objects: dict[str, Stored] = {}
    there: dict[str, Stored] = {}
    RawMemory(there).write("objects/ab/cd", b"there")
    return {
        "remote": subject(objects),
        "second": subject(objects),
        "raw": RawMemory(objects),
        "broken_credentials": subject(gate=Gate(lambda: RemoteAuthError("who are you?"))),
        "unreachable": subject(gate=Gate(lambda: RemoteUnavailable("no route"))),
        "read_only": subject(there, gate=Gate(lambda: RemotePermissionError("no"), {"put_file", "delete"})),
        "secrets": (SECRET,),
    }


REMOTE = Kind("remote", StrictRemoteContract, MemoryRemote, _fixtures)
