"""Layer 3: what plugin authors implement; may import kist.errors, kist.util and kist.model.

Each module is one kind of plug; its docstring is the contract, and ``kist.testing`` has the class that checks it.
"""

from kist.abc.command import CommandTable
from kist.abc.dialect import Dialect, StoreLayout
from kist.abc.executor import Executor
from kist.abc.hasher import Hasher, RunningHash
from kist.abc.kernel import Ingested, Kernel, Listing
from kist.abc.link import LinkType
from kist.abc.metafile import ManifestCodec, ManifestView, MetafileFormat
from kist.abc.options import Options, option
from kist.abc.progress import NullProgress, Progress
from kist.abc.remote import Capabilities, ObjectInfo, Remote, RemoteScope, RemoteURL
from kist.abc.repo_view import RepoView

__all__ = [
    "Capabilities",
    "CommandTable",
    "Dialect",
    "Executor",
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
    "Remote",
    "RemoteScope",
    "RemoteURL",
    "RepoView",
    "RunningHash",
    "StoreLayout",
    "option",
]
