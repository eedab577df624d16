"""Layer 2: frozen values without I/O; may import kist.errors and kist.util.

What plugins get and make of them are the names below. They load their module on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist.util.lazy import lazy_names

if TYPE_CHECKING:
    from kist.model.change import Change
    from kist.model.columns import Columns
    from kist.model.delta import Delta
    from kist.model.digest import Digest
    from kist.model.entry import DIRECTORY, EXECUTABLE, FILE, SYMLINK, Entry
    from kist.model.plan import TransferPlan
    from kist.model.report import AddedOutput, AddReport, CheckoutReport, Finding, TransferReport
    from kist.model.status import OutputStatus, StatusSection
    from kist.model.tracked import Metafile, TrackedOutput

__all__ = [
    "DIRECTORY",
    "EXECUTABLE",
    "FILE",
    "SYMLINK",
    "AddReport",
    "AddedOutput",
    "Change",
    "CheckoutReport",
    "Columns",
    "Delta",
    "Digest",
    "Entry",
    "Finding",
    "Metafile",
    "OutputStatus",
    "StatusSection",
    "TrackedOutput",
    "TransferPlan",
    "TransferReport",
]

_HOMES = {
    "AddReport": "report",
    "AddedOutput": "report",
    "Change": "change",
    "CheckoutReport": "report",
    "Columns": "columns",
    "DIRECTORY": "entry",
    "Delta": "delta",
    "Digest": "digest",
    "EXECUTABLE": "entry",
    "Entry": "entry",
    "FILE": "entry",
    "Finding": "report",
    "Metafile": "tracked",
    "OutputStatus": "status",
    "SYMLINK": "entry",
    "StatusSection": "status",
    "TrackedOutput": "tracked",
    "TransferPlan": "plan",
    "TransferReport": "report",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
