"""Whose defect an exception is that is none of ours: the plugin's nearest to where it was raised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kist.errors import ContractViolation, PluginBroken
from kist.plugins.index import load_index
from kist.plugins.trace import switched_on


class Culprit(NamedTuple):
    """The plugin's code nearest to where something was raised.

    Attributes:
        distribution: who brings it.
        function: the function that was running.
    """

    distribution: str
    function: str


def culprit(exc: BaseException, distributions: Mapping[str, str]) -> Culprit | None:
    """Look for the plugin whose code raised something.

    Args:
        exc: what was raised.
        distributions: top module of a plugin -> its distribution.

    Returns:
        None where no plugin's code was running.
    """
    found = None
    trace = exc.__traceback__
    while trace is not None:
        root = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if root != "kist" and root in distributions:
            found = Culprit(distributions[root], trace.tb_frame.f_code.co_qualname)
        trace = trace.tb_next
    return found


def plugin_defect(exc: BaseException) -> PluginBroken | None:
    """What to tell instead of an exception that came out of an installed plugin's code.

    Args:
        exc: what was raised.

    Returns:
        None where it is our own, or is about a file that cannot be used: that is the user's matter.
    """
    if switched_on("KIST_DISABLE_PLUGINS") or (isinstance(exc, OSError) and exc.filename is not None):
        return None
    found = culprit(exc, {one.module.partition(".")[0]: one.distribution for one in load_index().offers})
    if found is None:
        return None
    broken = PluginBroken(found.distribution, exc, where=found.function)
    broken.__cause__ = exc
    return broken


def violation(distribution: str, what: str, instead: str = "") -> ContractViolation:
    """The error for a plugin that does what its contract rules out.

    Args:
        distribution: who brings it.
        what: what it did.
        instead: what the user can do beside telling its authors.
    """
    hint = f"this is a defect of {distribution}: tell its authors"
    return ContractViolation(f"{distribution}: {what}", hint=f"{hint}; {instead}" if instead else hint)


def wrong_answer(distribution: str, plugin: object, member: str, given: object, wanted: str) -> ContractViolation:
    """The error for what a plugin's object gave of another kind than its contract says.

    Args:
        distribution: who brings it.
        plugin: the object.
        member: its attribute or method.
        given: what came.
        wanted: what was to come, in words.
    """
    return violation(distribution, f"{type(plugin).__name__}.{member} gave {given!r:.80}, not {wanted}")


def names_of(
    distribution: str, plugin: object, member: str, wanted: str, good: Callable[[str], bool] = bool
) -> tuple[str, ...]:
    """A plugin's attribute that is to be some names, at least one.

    Args:
        distribution: who brings it.
        plugin: the object.
        member: its attribute.
        wanted: what it is to be, in words.
        good: whether a text is such a name.

    Raises:
        ContractViolation: it is anything else, such as one text.
    """
    names = getattr(plugin, member, None)
    listed = isinstance(names, Sequence) and not isinstance(names, str)
    if not listed or not names or not all(isinstance(name, str) and good(name) for name in names):
        raise wrong_answer(distribution, plugin, member, names, wanted)
    return tuple(names)
