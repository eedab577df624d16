"""JSON that somebody else may have written."""

from __future__ import annotations

import json
from typing import Any


def load_json(text: str | bytes) -> Any:
    """Read JSON of any depth.

    Args:
        text: what was read.

    Raises:
        ValueError: it is no JSON, or nested more deeply than anything of ours.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
