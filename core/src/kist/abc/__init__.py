"""Layer 3: what plugin authors implement; may import kist.errors, kist.util and kist.model.

Each module is one kind of plug; its docstring is the contract, and ``kist.testing`` has the class that checks it.
Names load their module on first use, so that a command pays for no kind of plug that it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist.util.lazy import lazy_names

if TYPE_CHECKING:
    from kist.abc.command import CommandTable
    from kist.abc.dialect import Dialect
    from kist.abc.executor import Executor
    from kist.abc.hasher import Hasher, RunningHash
    from kist.abc.kernel import OTHER, STAT_FIELDS, SUBDIRECTORY, Ingested, Kernel, Listing
    from kist.abc.link import LinkType
    from kist.abc.metafile import GetNodes, ManifestCodec, ManifestView, MetafileFormat, PutNode
    from kist.abc.options import Options, between, option
    from kist.abc.progress import NullProgress, Progress
    from kist.abc.remote import Capabilities, ObjectInfo, Remote, RemoteScope, RemoteURL
    from kist.abc.repo_view import RepoView

__all__ = [
    "OTHER",
    "STAT_FIELDS",
    "SUBDIRECTORY",
    "Capabilities",
    "CommandTable",
    "Dialect",
    "Executor",
    "GetNodes",
    "Hasher",
    "Ingested",
    "Kernel",
    "LinkType",
    "Listing",
    "ManifestCodec",
    "ManifestView",
    "MetafileFormat",
    "NullProgress",
    "ObjectInfo",
    "Options",
    "Progress",
    "PutNode",
    "Remote",
    "RemoteScope",
    "RemoteURL",
    "RepoView",
    "RunningHash",
    "between",
    "option",
]

_HOMES = {
    "Capabilities": "remote",
    "CommandTable": "command",
    "Dialect": "dialect",
    "Executor": "executor",
    "GetNodes": "metafile",
    "Hasher": "hasher",
    "Ingested": "kernel",
    "Kernel": "kernel",
    "LinkType": "link",
    "Listing": "kernel",
    "ManifestCodec": "metafile",
    "ManifestView": "metafile",
    "MetafileFormat": "metafile",
    "NullProgress": "progress",
    "OTHER": "kernel",
    "ObjectInfo": "remote",
    "Options": "options",
    "Progress": "progress",
    "PutNode": "metafile",
    "Remote": "remote",
    "RemoteScope": "remote",
    "RemoteURL": "remote",
    "RepoView": "repo_view",
    "RunningHash": "hasher",
    "STAT_FIELDS": "kernel",
    "SUBDIRECTORY": "kernel",
    "between": "options",
    "option": "options",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
