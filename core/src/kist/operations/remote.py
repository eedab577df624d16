"""remote: the remotes of a repository, added, changed, renamed and removed in its configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from kist.abc.remote import RemoteURL
from kist.errors import ConfigError, InvalidOption, UsageError
from kist.operations.remote_options import (
    SECRET,
    check_address,
    check_option,
    check_place,
    check_value,
    declared,
    is_secret,
    may_be_tracked,
    show_url,
    show_value,
)
from kist.repo.config import dig
from kist.repo.config_changes import ConfigChanges, config_changes
from kist.repo.config_edit import EditedFile, check_setting
from kist.repo.config_files import read_level
from kist.repo.context import RepoContext
from kist.repo.options import REMOTE_OPTIONS
from kist.repo.remotes import location, remote_names, settings_of
from kist.util.paths import nearest
from kist.util.slotted import field, slotted

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REPOSITORY_LEVELS = ("local", "tracked")
"""In the order in which they are changed: the address mostly stands in the last, and by it a remote is known."""


@slotted(frozen=True)
class RemoteInfo:
    """One configured remote.

    Args:
        name: its name.
        url: its address, without what may hold a secret.
        default: whether push, fetch and pull use it.
        level: where its address is set: ``tracked``, ``local``, ``user``, ``system``, ``environment``.
        options: its other options; secrets are not shown.
        written: the configuration files that its adding changed, or would.
    """

    name: str
    url: str
    default: bool
    level: str
    options: Mapping[str, str] = field(default_factory=dict)
    written: tuple[EditedFile, ...] = ()


@slotted(frozen=True)
class RemoteEdit:
    """What a change of remotes did, or would do.

    Args:
        written: the files that changed.
        users: paths of outputs whose metafile names the remote that is not there any more.
        endpoints: what is trusted now.
    """

    written: tuple[EditedFile, ...] = ()
    users: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()


def list_remotes(context: RepoContext) -> list[RemoteInfo]:
    """The configured remotes, by name.

    Args:
        context: the repository.
    """
    chosen = default_name(context)
    return [_info(context, name, default=name == chosen) for name in remote_names(context)]


def default_name(context: RepoContext) -> str | None:
    """The remote that is used when none is named, None if that is not settled."""
    names = remote_names(context)
    return context.config.get("core.remote") or (names[0] if len(names) == 1 else None)


def _info(context: RepoContext, name: str, *, default: bool) -> RemoteInfo:
    section = context.config.section("remote")[name]
    setting = context.config.find(f"remote.{name}.url")
    shown = {
        option: SECRET if is_secret(context.plugins, context.config, name, option) else show_value(value)
        for option, value in sorted(section.items())
        if option != "url"
    }
    return RemoteInfo(name, show_url(str(section.get("url", ""))), default, setting.level if setting else "", shown)


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@slotted(frozen=True)
class EditOptions:
    """How to change the configuration.

    Args:
        level: ``tracked``, ``local``, ``user`` or ``system``.
        force: replace what is there.
        dry_run: check everything, write nothing.
        apart: what must not be tracked goes to the local configuration, in place of an error.
    """

    level: str = "tracked"
    force: bool = False
    dry_run: bool = False
    apart: bool = False


def add_remote(
    context: RepoContext,
    name: str,
    url: str,
    options: EditOptions = EditOptions(),
    *,
    default: bool = False,
    settings: Mapping[str, str] | None = None,
) -> RemoteInfo:
    """Give a place a name.

    Args:
        context: the repository.
        name: the new remote's name.
        url: its address; a path is relative to the current folder and kept relative to the repository.
        options: where to write it.
        default: whether it becomes the default.
        settings: its other options, by name.

    Returns:
        The remote.

    Raises:
        UsageError: a name that cannot be one, or that is taken.
        PluginNotFound: no plugin for the scheme, with the distribution to install.
        UnknownOption: the plugin has no such option, with the nearest one.
        InvalidOption: not a valid URL, or one with a secret in it; or a value that does not fit its option.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a remote",
            hint="use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    if context.config.get(f"remote.{name}.url") and not options.force:
        raise UsageError(
            f"there is a remote '{name}' already",
            hint=f"'kist remote modify {name} url URL' changes it, --force replaces its address",
        )
    check_address(url)
    stored = stored_url(context, url)
    address = check_place(context, name, stored)
    context.plugins.need("remotes", address.scheme)
    placed = [_place(context, address, (name, *pair), options) for pair in (settings or {}).items()]
    with config_changes(context, dry_run=options.dry_run) as changes:
        # The address goes last: without one there is no remote yet, so that a killed command can be repeated.
        for level in dict.fromkeys([*(one.level for one in placed if one.level != options.level), options.level]):
            values: dict[str, str] = {one.key: one.value for one in placed if one.level == level}
            if level == options.level:
                values |= {f"remote.{name}.url": stored, **({"core.remote": name} if default else {})}
            changes.set(level, values, secrets=[one.key for one in placed if one.secret])
    alone = not remote_names(context) and not context.config.get("core.remote")
    shown = {one.key.rpartition(".")[2]: SECRET if one.secret else one.value for one in placed}
    return RemoteInfo(name, show_url(stored), default or alone, options.level, shown, tuple(changes.written))


@slotted(frozen=True)
class _Placed:
    """An option's value, checked, and where it is to stand."""

    level: str
    key: str
    value: str
    secret: bool


def _place(context: RepoContext, url: RemoteURL, option: tuple[str, str, str], options: EditOptions) -> _Placed:
    name, key, value = option
    path = f"remote.{name}.{key}"
    one = None if key in REMOTE_OPTIONS else declared(context, url, name, key)
    tracked = REMOTE_OPTIONS[key].tracked if one is None else may_be_tracked(one)
    level = "local" if options.apart and not tracked else options.level
    secret = one is not None and check_value(one, name, value, level)
    check_setting(level, path, value, secret=secret)
    return _Placed(level, path, value, secret)


def stored_url(context: RepoContext, text: str) -> str:
    """An address as configuration keeps it.

    Args:
        context: the repository.
        text: as typed; a relative path counts from the current folder.

    Returns:
        A URL, an absolute path, or a path relative to the repository.

    Raises:
        InvalidOption: neither clearly a URL nor clearly a path.
    """
    if "://" not in text and ":" in text.partition("/")[0]:
        raise InvalidOption(  # without the text, which may hold a secret
            "the address of the remote has a ':' at its beginning but no '://'",
            hint="a URL is SCHEME://PLACE; for a folder with such a name write ./NAME",
        )
    if "://" in text or text.startswith(("~", "/")) or not text:
        return text
    typed = os.path.abspath(text)
    relative = os.path.relpath(typed, context.typed_root)
    if context.typed_root != context.root and os.path.realpath(typed) == os.path.join(context.root, relative):
        return relative
    return os.path.relpath(os.path.realpath(typed), context.root)


def modify_remote(
    context: RepoContext, name: str, option: str, value: str | None, options: EditOptions = EditOptions()
) -> RemoteEdit:
    """Set an option of a remote, or unset it.

    Args:
        context: the repository.
        name: the remote.
        option: the option.
        value: its new value, None to unset it.
        options: where to write it.

    Raises:
        ConfigError: no such remote, or nothing to unset.
        UnknownOption: the remote's plugin has no such option.
        InvalidOption: a value that does not fit, or an option that tracked configuration must not hold.
        PluginNotFound: no plugin for its scheme.
    """
    _check_there(context, name)
    key = f"remote.{name}.{option}"
    if value is None:
        if dig(read_level(options.level, context.place), ("remote", name, option)) is None:
            raise ConfigError(
                f"'{key}' is not set in the {options.level} configuration",
                hint="'kist config list --show-origin' shows where things are set",
            )
        return _changed(context, options, {key: None})
    if option == "url":
        value = stored_url(context, value)
    secret = check_option(context, name, option, value, options.level)
    return _changed(context, options, {key: value}, secrets=(key,) if secret else ())


def remove_remote(context: RepoContext, name: str, options: EditOptions = EditOptions()) -> RemoteEdit:
    """Forget a remote; what lies there stays.

    Args:
        context: the repository.
        name: the remote.
        options: with level ``user`` or ``system``, only there; otherwise in the repository's own configuration.

    Returns:
        What changed, and the outputs whose metafile still names it.

    Raises:
        ConfigError: no such remote in that configuration.
    """
    levels = _levels_with(context, name, options)
    with config_changes(context, dry_run=options.dry_run) as changes:
        for level in levels:
            values = {"core.remote": None} if _chosen(context, level) == name else {}
            changes.set(level, {**values, f"remote.{name}": None})
    return RemoteEdit(tuple(changes.written), tuple(_users(context, name)))


def rename_remote(context: RepoContext, old: str, new: str, options: EditOptions = EditOptions()) -> RemoteEdit:
    """Rename a remote, in the tracked and the local configuration.

    Args:
        context: the repository.
        old: its name.
        new: its new name.
        options: as for :func:`remove_remote`.

    Returns:
        What changed, and the outputs whose metafile still names the old one.

    Raises:
        ConfigError: no such remote in that configuration.
        UsageError: the new name is taken, or cannot be one.
    """
    levels = _levels_with(context, old, options)
    if context.config.get(f"remote.{new}.url"):
        raise UsageError(f"there is a remote '{new}' already")
    if not _NAME.fullmatch(new):
        raise UsageError(f"'{new}' cannot be the name of a remote")
    with config_changes(context, dry_run=options.dry_run) as changes:
        for level in levels:
            _rename_in(context, changes, level, (old, new))
    return RemoteEdit(tuple(changes.written), tuple(_users(context, old)))


def _rename_in(context: RepoContext, changes: ConfigChanges, level: str, names: tuple[str, str]) -> None:
    old, new = names
    # It stands at this level already, so what may stand there was decided before.
    values = {f"remote.{new}.{option}": value for option, value in (_section(context, level, old) or {}).items()}
    if _chosen(context, level) == old:
        values["core.remote"] = new
    changes.set(level, {**values, f"remote.{old}": None})


def set_default(context: RepoContext, name: str | None, options: EditOptions = EditOptions()) -> RemoteEdit:
    """Choose the remote that push, fetch and pull use.

    Args:
        context: the repository.
        name: the remote, None to choose none.
        options: where to write it.

    Raises:
        ConfigError: no such remote.
    """
    if name is not None:
        _check_there(context, name)
    return _changed(context, options, {"core.remote": name})


def _changed(
    context: RepoContext, options: EditOptions, values: Mapping[str, Any], secrets: Collection[str] = ()
) -> RemoteEdit:
    with config_changes(context, dry_run=options.dry_run) as changes:
        changes.set(options.level, values, secrets=secrets)
    return RemoteEdit(tuple(changes.written))


def trust_remote(context: RepoContext, name: str, *, dry_run: bool = False) -> RemoteEdit:
    """Agree that a place which only a clone's configuration names may get the user's credentials.

    Args:
        context: the repository.
        name: the remote.
        dry_run: tell which endpoints, record nothing.

    Returns:
        The endpoints that are trusted now, for this repository.

    Raises:
        ConfigError: no such remote.
        StorageError: the decision cannot be kept.
    """
    from kist.repo.trust import endpoints_of, trust

    values = settings_of(context, name)
    endpoints = endpoints_of(location(context, str(values["url"])), values)
    return RemoteEdit((trust(context.id, endpoints, dry_run=dry_run),), endpoints=endpoints)


def _check_there(context: RepoContext, name: str) -> None:
    section = context.config.section("remote")
    if name not in section:
        close = nearest(name, list(section))
        raise ConfigError(
            f"there is no remote '{name}'",
            hint=f"did you mean '{close}'?" if close else "'kist remote list' shows what there is",
            remote=name,
        )


def _levels_with(context: RepoContext, name: str, options: EditOptions) -> list[str]:
    """The levels asked for that have a remote, of which there is one at least."""
    _check_there(context, name)
    asked = _REPOSITORY_LEVELS if options.level == "tracked" else (options.level,)
    levels = [level for level in asked if _section(context, level, name) is not None]
    if not levels:
        found = context.config.find(f"remote.{name}.url")
        where = found.origin if found else "other configuration"
        hint = "change it there" if found and found.level == "tracked" else "add --global"
        raise ConfigError(f"the remote '{name}' stands in {where}", hint=hint)
    return levels


def _section(context: RepoContext, level: str, name: str) -> dict[str, Any] | None:
    found = dig(read_level(level, context.place), ("remote", name))
    return found if isinstance(found, dict) else None


def _chosen(context: RepoContext, level: str) -> Any:
    return dig(read_level(level, context.place), ("core", "remote"))


def _users(context: RepoContext, name: str) -> list[str]:
    return [one.path for one in context.tracked() if one.output.remote == name]
