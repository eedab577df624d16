"""Remotes of a repository: name to options, to the open hook, to the wrapped store."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kist.abc.options import Options, declared_options
from kist.abc.remote import Remote, RemoteScope, RemoteURL
from kist.engine.process.load import Load, MemoryBudget
from kist.engine.transfer.remote_store import RemoteStore
from kist.errors import ConfigError, InvalidOption, KistError
from kist.remotes.wrappers import (
    Budget,
    ReadOnlyRemote,
    RecordingRemote,
    RetryingRemote,
    RetryPolicy,
    ThrottledRemote,
    VerifyingRemote,
)
from kist.repo.context import RepoContext
from kist.repo.options import REMOTE_OPTIONS
from kist.repo.trust import endpoints_of, is_trusted, needs_trust
from kist.util.paths import nearest
from kist.util.slotted import slotted

_FIRST_ANSWER = 10.0
"""Seconds in which a remote that never answered is tried again, where nobody says how often and how long."""


class OpenRemote:
    """One remote, opened: the store over it, and the recorder that counts its requests.

    Args:
        name: its name in the configuration.
        remote: the plugin's remote.
        context: the repository, whose configuration says how often calls are repeated and what all may take together.
        trusted: whether the user named or trusts its place.
    """

    def __init__(self, name: str, remote: Remote, context: RepoContext, *, trusted: bool = True) -> None:
        self.name, self.trusted = name, trusted
        self.recorder = RecordingRemote(remote)
        budget = budget_of(context)
        load = Load(budget.memory)
        inner: Remote = ThrottledRemote(self.recorder, budget.rates) if budget.limited else self.recorder
        if not remote.capabilities.atomic_put:
            inner = VerifyingRemote(inner, reads=False)
        wrapped: Remote = RetryingRemote(inner, retry_policy(context, name, load))
        if _option(context, name, "readonly"):
            wrapped = ReadOnlyRemote(wrapped)
        self.store = RemoteStore(
            wrapped,
            hashers=context.hasher,
            name=name,
            memory=memory_folder(context, name),
            load=load,
            executors=context.executors.for_requests,
        )

    @property
    def requests(self) -> int:
        """Calls on the wire so far, or methods called on a remote that has no wire."""
        return self.recorder.requests

    def close(self) -> None:
        """Let go of connections."""
        self.recorder.close()


@slotted(frozen=True)
class TransferBudget:
    """What all transfers of the process may take together.

    Args:
        rates: bytes and requests a second.
        limited: whether *rates* has a limit at all.
        memory: bytes in flight.
    """

    rates: Budget
    limited: bool
    memory: MemoryBudget


def budget_of(context: RepoContext) -> TransferBudget:
    """The budget that the configuration asks for, the same one for all repositories of the process that agree on it.

    Args:
        context: the repository.
    """
    get = context.config.get
    return _shared_budget(get("transfer.limit_rate"), get("transfer.max_requests"), get("transfer.memory"))


@lru_cache
def _shared_budget(rate: int, requests: int, memory: int) -> TransferBudget:
    rates = Budget(bytes_per_second=rate or None, requests_per_second=requests or None)
    return TransferBudget(rates, bool(rate or requests), MemoryBudget(memory))


def retry_policy(context: RepoContext, name: str, load: Load) -> RetryPolicy:
    """How calls to a remote are repeated.

    Args:
        context: the repository.
        name: the remote's name.
        load: is told of every refusal.
    """
    retries, patience = _option(context, name, "retries"), _option(context, name, "retry_time")
    said = any(context.config.find(f"remote.{name}.{option}") for option in ("retries", "retry_time"))
    first = None if said else _FIRST_ANSWER
    return RetryPolicy(attempts=retries + 1, deadline=patience, observe=load.refused, remote=name, first_answer=first)


def _option(context: RepoContext, name: str, option: str) -> Any:
    """An option that every remote has."""
    return context.config.get(f"remote.{name}.{option}")


def memory_folder(context: RepoContext, name: str) -> Path:
    """Where this worktree remembers hints of a remote."""
    return context.place.own / "remotes" / os.fsencode(name).hex()


def remote_names(context: RepoContext) -> list[str]:
    """The configured remotes, sorted."""
    return sorted(context.config.section("remote"))


def default_remote(context: RepoContext) -> str:
    """The remote that is used when none is named.

    Raises:
        ConfigError: none is set and there is not exactly one.
    """
    chosen = context.config.get("core.remote")
    if chosen:
        return str(chosen)
    names = remote_names(context)
    if len(names) == 1:
        return names[0]
    raise ConfigError(
        "no default remote is set" if names else "there is no remote",
        hint=f"'kist remote default NAME' chooses one of {', '.join(names)}"
        if names
        else "kist remote add -d NAME URL",
    )


def settings_of(context: RepoContext, name: str) -> Mapping[str, Any]:
    """The configured options of a remote, as far as their place may set them.

    Raises:
        ConfigError: no such remote, or one without a URL.
    """
    section = context.config.section("remote")
    if name not in section:
        close = nearest(name, list(section))
        hint = f"did you mean '{close}'?" if close else "'kist remote add NAME URL' makes one"
        raise ConfigError(f"there is no remote '{name}'", hint=hint)
    if "url" not in section[name]:
        raise ConfigError(f"the remote '{name}' has no url", hint=f"kist remote modify {name} url URL")
    found: Mapping[str, Any] = section[name]
    return found


@contextmanager
def named(name: str) -> Iterator[None]:
    """Have the errors of a block name the remote that they are about."""
    try:
        yield
    except KistError as error:
        error.remote = name
        raise


def location(context: RepoContext, text: str) -> RemoteURL:
    """A remote's URL; a relative path counts from the repository's folder.

    Raises:
        InvalidOption: no URL, or a folder's with a host.
    """
    url = RemoteURL.parse(text)
    if url.scheme != "file":
        return url
    if url.host not in ("", "localhost"):
        hint = f"for a folder of this machine write file:///{url.host}{url.path}"
        raise InvalidOption(f"the URL of a folder names a host: {url}", hint=hint)
    path = unquote(url.path) if text.startswith("file:") else url.path
    return RemoteURL("file", path=posixpath.normpath(posixpath.join(str(context.root), os.path.expanduser(path))))


def options_for(context: RepoContext, name: str, url: RemoteURL) -> Options:
    """The plugin's options, filled in from configuration and environment.

    Raises:
        PluginNotFound: no plugin for the scheme.
        UnknownOption: an option that the plugin does not have.
        InvalidOption: a value that does not fit.
    """
    kind = context.plugins.remote_options(url.scheme)
    trusted = context.config.trusted_options(name, kind)
    own = {key: value for key, value in trusted.items() if key not in REMOTE_OPTIONS}
    waits = any(one.name == "fsync" for one in declared_options(kind))
    if waits and url.scheme == "file" and context.config.get("core.fsync") == "off":
        own.setdefault("fsync", False)  # a folder of this machine is as dear to its user as the cache
    with named(name):
        return kind.from_mapping(own, env=os.environ)


def open_remote(context: RepoContext, name: str | None = None) -> OpenRemote:
    """Open a remote; no request is made.

    Args:
        context: the repository.
        name: its name, None for the default.

    Raises:
        ConfigError: no such remote, or options that make no sense.
        PluginNotFound: no plugin for its scheme.
    """
    name = name if name is not None else default_remote(context)
    values = settings_of(context, name)
    url = location(context, str(values["url"]))
    options = options_for(context, name, url)
    trusted = not needs_trust(context.config, name) or is_trusted(context.id, endpoints_of(url, values))
    scope = RemoteScope(name, context.place.own / "remotes", context.prompt, trusted=trusted)
    with named(name):
        remote = context.plugins.open_remote(url, options, scope)
    return OpenRemote(name, remote, context, trusted=trusted)
