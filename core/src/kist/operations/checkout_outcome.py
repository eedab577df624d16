"""What comes of a checkout: reports joined, errors that name their output, damaged copies out of the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from kist.errors import KistError, MetafileError, StorageError
from kist.model.digest import Digest
from kist.model.report import CheckoutReport
from kist.repo.context import RepoContext
from kist.repo.targets import Target

Missing = Sequence[tuple[str, tuple[str, ...]]]
"""Names of objects, and the paths that need them."""


def merged(reports: Sequence[CheckoutReport], missing: Missing = ()) -> CheckoutReport:
    """Many reports as one.

    Args:
        reports: what was done.
        missing: objects that hindered whole outputs, with the paths.
    """
    links: dict[str, int] = {}
    for report in reports:
        for name, count in report.links.items():
            links[name] = links.get(name, 0) + count
    return CheckoutReport(
        files=sum(report.files for report in reports),
        deleted=sum(report.deleted for report in reports),
        bytes=sum(report.bytes for report in reports),
        links=links,
        missing=(*missing, *(one for report in reports for one in report.missing)),
        trashed=tuple(one for report in reports for one in report.trashed),
        kept=tuple(one for report in reports for one in report.kept),
        warnings=tuple(one for report in reports for one in report.warnings),
    )


def named_error(target: Target, error: KistError) -> KistError:
    """An error of a checkout; one about what a manifest says also tells whose manifest that is.

    Args:
        target: what was to be checked out.
        error: what came of it.
    """
    if type(error) is not MetafileError:
        return error
    hint = "what is recorded is damaged or hostile: see where it comes from, and take another version from Git"
    return MetafileError(f"{target.path} cannot be checked out: {error}", hint=hint, path=target.path)


def put_damage_aside(context: RepoContext, digests: Iterable[str]) -> None:
    """Let damaged copies count as absent from now on, so that the next fetch brings good ones.

    Args:
        context: the repository.
        digests: objects that could not be had.
    """
    for digest in map(Digest.parse, digests):
        if context.cache.has(digest):
            with suppress(StorageError):  # a cache that others keep: it is their part to repair it
                context.cache.quarantine(digest)
