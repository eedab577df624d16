"""The compiled kernel of kist: hook implementations only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist import hookimpl

if TYPE_CHECKING:
    from kist.abc import Kernel


@hookimpl
def kist_make_kernel(name: str) -> Kernel | None:
    """Make the kernel ``accel``.

    Raises:
        ImportError: this distribution was built without a C compiler.
    """
    if name != "accel":
        return None
    try:
        from kist_accel.kernel import AccelKernel
    except ImportError as exc:
        raise ImportError("kist-accel has no compiled part: install a C compiler, then kist-accel again") from exc
    return AccelKernel()
