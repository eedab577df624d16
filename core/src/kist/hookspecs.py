"""All hooks of kist: the contract between the core and its plugins.

*Selection*: **first** stops at the first result that is not None; **all** collects every result. An implementation is a
function of the same name with ``@kist.hookimpl`` in a module that an entry point names; it may take fewer arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pluggy import HookspecMarker

if TYPE_CHECKING:
    from kist.abc import (
        CommandTable,
        Dialect,
        Executor,
        Hasher,
        Kernel,
        LinkType,
        MetafileFormat,
        Options,
        Remote,
        RemoteScope,
        RemoteURL,
        RepoView,
    )
    from kist.model.digest import Digest
    from kist.model.plan import TransferPlan
    from kist.model.report import AddReport, CheckoutReport, Finding, StatusSection, TransferReport

hookspec = HookspecMarker("kist")

# ── hashing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@hookspec(firstresult=True)
def kist_make_hasher(algorithm: str) -> Hasher | None:
    """Make the hasher of an algorithm.

    Called: once per algorithm and process. Selection: first.

    Args:
        algorithm: lower-case name, as in a digest.

    Returns:
        A thread-safe Hasher whose ``name`` equals *algorithm*, or None for an algorithm that is not this plugin's.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return Sha3() if algorithm == "sha3-256" else None``
    """


# ── linking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@hookspec(firstresult=True)
def kist_make_link_type(name: str) -> LinkType | None:
    """Make a link type.

    Called: once per name and process. Selection: first. Must not touch the disk: probing is ``LinkType.probe``.

    Args:
        name: as in ``cache.type``.

    Returns:
        A LinkType of that name, or None.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return Clone() if name == "clone" else None``
    """


# ── metafiles and manifests ──────────────────────────────────────────────────────────────────────────────────────────


@hookspec(firstresult=True)
def kist_make_metafile_format(name: str) -> MetafileFormat | None:
    """Make a metafile format; it declares its file patterns and brings its manifest codec.

    Called: once per format that the dialect names. Selection: first.

    Args:
        name: as in ``Dialect.metafile_formats``.

    Returns:
        A MetafileFormat of that name, or None.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return JsonMetafile() if name == "json" else None``
    """


# ── dialects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@hookspec(firstresult=True)
def kist_make_dialect(marker: str) -> Dialect | None:
    """Make the dialect of a marker folder: how such a repository is read.

    Called: once per repository. Selection: first.

    Args:
        marker: the folder's name, such as ``.kist``.

    Returns:
        A Dialect with that marker, or None.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return OtherDialect() if marker == ".other" else None``
    """


# ── remotes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@hookspec(firstresult=True)
def kist_remote_options(scheme: str) -> type[Options] | None:
    """Tell which options a remote of this scheme has.

    Called: when a remote is added, changed, opened or documented. Selection: first. No network, no SDK import.

    Args:
        scheme: the URL's, lower case.

    Returns:
        An Options subclass, or None.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return BoxOptions if scheme == "box" else None``
    """


@hookspec(firstresult=True)
def kist_open_remote(url: RemoteURL, options: Options, scope: RemoteScope) -> Remote | None:
    """Open a remote.

    Called: once per command and remote. Selection: first; may be wrapped (``hookimpl(wrapper=True)``) to add
    encryption, audit and the like. Must not contact the network: the first method call does.

    Args:
        url: the remote's address.
        options: what ``kist_remote_options`` declared, filled in.
        scope: name, private state folder, prompt and logger.

    Returns:
        A Remote, or None for a scheme that is not this plugin's.

    Raises:
        ConfigError: the URL or the options make no sense.

    Example:
        ``return BoxRemote(url, options) if url.scheme == "box" else None``
    """


# ── execution and command line ───────────────────────────────────────────────────────────────────────────────────────


@hookspec(firstresult=True)
def kist_make_executor(name: str, jobs: int) -> Executor | None:
    """Make an executor.

    Called: once per command that needs one. Selection: first.

    Args:
        name: as configured in ``core.executor``.
        jobs: how many pieces of work may run at once, at least 1.

    Returns:
        An Executor, or None.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return ClusterExecutor(jobs) if name == "cluster" else None``
    """


@hookspec(firstresult=True)
def kist_make_kernel(name: str) -> Kernel | None:
    """Make a kernel: the inner loops over files.

    Called: once per process. Selection: first.

    Args:
        name: as configured in ``core.kernel``; ``pure`` is builtin.

    Returns:
        A Kernel of that name, or None.

    Raises:
        PluginError: it cannot work here.

    Example:
        ``return FastKernel() if name == "fast" else None``
    """


@hookspec
def kist_add_command(commands: CommandTable) -> None:
    """Add verbs to the command line.

    Called: when a word that the core does not know was typed, or full help is shown. Selection: all.

    Args:
        commands: where to add them.

    Returns:
        Nothing.

    Raises:
        PluginConflict: the word is taken.

    Example:
        ``commands.add("web", "kist_web.command", "browse versions in a browser")``
    """


# ── life of a repository ─────────────────────────────────────────────────────────────────────────────────────────────


@hookspec
def kist_after_add(repo: RepoView, report: AddReport) -> None:
    """Learn that outputs were added or committed.

    Called: after the metafiles are on disk. Selection: all.

    Args:
        repo: the repository.
        report: what was added.

    Returns:
        Nothing.

    Raises:
        KistError: shown as a warning; what was done stays done.

    Example:
        ``log(report.outputs)``
    """


@hookspec
def kist_after_checkout(repo: RepoView, report: CheckoutReport) -> None:
    """Learn that the workspace was changed.

    Called: after the workspace is complete. Selection: all.

    Args:
        repo: the repository.
        report: what was changed.

    Returns:
        Nothing.

    Raises:
        KistError: shown as a warning; what was done stays done.

    Example:
        ``log(report.files)``
    """


@hookspec
def kist_before_transfer(repo: RepoView, plan: TransferPlan) -> None:
    """Look at a transfer before the first byte.

    Called: after planning. Selection: all.

    Args:
        repo: the repository.
        plan: what would move.

    Returns:
        Nothing.

    Raises:
        KistError: a veto; nothing is moved and the command ends with this error.

    Example:
        ``if plan.bytes > quota: raise RemoteQuotaExceeded("over this month's quota")``
    """


@hookspec
def kist_after_transfer(repo: RepoView, report: TransferReport) -> None:
    """Learn how a transfer ended.

    Called: after the last byte, also when part of it failed. Selection: all.

    Args:
        repo: the repository.
        report: what was moved and what failed.

    Returns:
        Nothing.

    Raises:
        KistError: shown as a warning; what was done stays done.

    Example:
        ``notify(report.remote, report.bytes)``
    """


@hookspec
def kist_gc_roots(repo: RepoView) -> Iterable[Digest]:  # type: ignore[empty-body]
    """Name objects that must survive garbage collection.

    Called: when gc looks for what is reachable. Selection: all.

    Args:
        repo: the repository.

    Returns:
        Digests of objects; a manifest root stands for all that it reaches.

    Raises:
        KistError: gc stops without deleting anything.

    Example:
        ``return [Digest.parse(line) for line in lines]``
    """


@hookspec
def kist_status_sections(repo: RepoView) -> StatusSection:  # type: ignore[empty-body]
    """Add a section to ``kist status``.

    Called: at the end of status. Selection: all.

    Args:
        repo: the repository.

    Returns:
        A section with a title and lines.

    Raises:
        KistError: shown as a warning.

    Example:
        ``return StatusSection("pipeline", ("train: changed",))``
    """


@hookspec
def kist_doctor(repo: RepoView | None) -> Iterable[Finding]:  # type: ignore[empty-body]
    """Report what a plugin finds about this machine or repository.

    Called: by ``kist doctor``. Selection: all.

    Args:
        repo: the repository, None outside of one.

    Returns:
        Findings: label, state (ok, note, warning, error), detail, and the command that fixes it.

    Raises:
        KistError: shown as a finding in state error.

    Example:
        ``return [Finding("box client", "ok", "3.1")]``
    """
