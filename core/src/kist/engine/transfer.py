"""Move versions between a cache and a remote: the front door of push, fetch and the check of a remote. Layer 4.

``push`` sends what a remote lacks and marks versions complete; ``fetch`` brings what a cache lacks; ``remote_check``
reads a remote back. What they share is in ``transfer_parts``; how calls run, in ``workers``.
"""

from kist.engine.fetch import Fetch, fetch_versions
from kist.engine.push import Push, push_versions
from kist.engine.remote_check import RemoteFindings, repair_remote, verify_remote
from kist.engine.transfer_parts import TransferOptions, TransferSettings, Version, Want

__all__ = [
    "Fetch",
    "Push",
    "RemoteFindings",
    "TransferOptions",
    "TransferSettings",
    "Version",
    "Want",
    "fetch_versions",
    "push_versions",
    "repair_remote",
    "verify_remote",
]
