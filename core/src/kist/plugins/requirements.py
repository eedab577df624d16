"""What a distribution requires of the core, and whether the core that is installed is that.

An installer keeps them together; who installs without dependencies is told here. Only releases such as ``1.2`` are
compared: whatever else a requirement may say is taken to be met.
"""

from __future__ import annotations

import re
import sys
from operator import eq, ge, gt, le, lt, ne

from kist.util.version import VERSION

_CLAUSE = r"(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?"
_ON_CORE = re.compile(r"(kist[-_.]core\s*(?:\[[^]]*\])?)\s*\(?([^;)]*)\)?\s*(?:;(.*))?", re.IGNORECASE)
_COMPARED = {"==": eq, "!=": ne, "<=": le, ">=": ge, "<": lt, ">": gt}


def unmet(distribution: str, installed: str = VERSION) -> str | None:
    """What a distribution requires of the core, where another version of that is installed.

    Args:
        distribution: its name.
        installed: the version of the core.

    Returns:
        The requirement, such as ``kist-core>=1,<2``; None where it is met, or cannot be compared.
    """
    from importlib.metadata import PackageNotFoundError, requires

    try:
        wanted = requires(distribution) or []
    except PackageNotFoundError:
        return None
    for one in wanted:
        match = _ON_CORE.fullmatch(one)
        if match is not None and _applies(match[3]) and not _is_met(match[2], installed):
            return f"{match[1]}{match[2]}".replace(" ", "")
    return None


def version_hint(distribution: str) -> str | None:
    """What to do about a distribution that was made for another version of the core; None where it was not."""
    wanted = unmet(distribution)
    if wanted is None:
        return None
    return f"{distribution} was made for {wanted}, and kist-core {VERSION} is installed: bring them together"


def _applies(marker: str | None) -> bool:
    """Whether a requirement counts here: always, or from some version of Python on; not one of an extra."""
    if marker is None:
        return True
    match = re.fullmatch(r"\s*python_version\s*([<>=!~]+)\s*['\"]([0-9.]+)['\"]\s*", marker)
    return match is not None and _is_met(match[1] + match[2], "{}.{}".format(*sys.version_info))


def _is_met(clauses: str, installed: str) -> bool:
    """Whether a version is one of those that are asked for, as far as both can be compared."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*", installed):
        return True
    found = [re.fullmatch(_CLAUSE, clause.strip()) for clause in clauses.split(",")]
    return all(_is_in(one, installed) for one in found if one)


def _is_in(clause: re.Match[str], installed: str) -> bool:
    operator, text, open_end = clause.groups()
    wanted = [int(number) for number in text.split(".")]
    have = [int(number) for number in installed.split(".")]
    have += [0] * (len(wanted) - len(have))
    if open_end or operator == "~=":
        same = len(wanted) - (operator == "~=")
        begins = have[:same] == wanted[:same]
        return not begins if operator == "!=" else begins and (operator == "==" or have >= wanted)
    wanted += [0] * (len(have) - len(wanted))
    return bool(_COMPARED[operator](have, wanted))
