"""What people can set on a shelf."""

from __future__ import annotations

from dataclasses import dataclass

from kist.abc import Options, option


@dataclass(frozen=True, kw_only=True)
class ShelfOptions(Options):
    """Options of ``shelf`` remotes."""

    timeout: float = option(60.0, help="Seconds to wait while another process writes.", shared=True)
