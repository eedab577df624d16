"""remote: the remotes of a repository, added, changed, renamed and removed in its configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any

from kist.abc.options import Options
from kist.abc.remote import RemoteURL
from kist.errors import ConfigError, InvalidOption, KistError, UnknownOption, UsageError
from kist.plugins.registry import Plugins
from kist.repo.config import Config, dig
from kist.repo.config_edit import is_secret_name, set_value, unset_value
from kist.repo.config_files import level_file, read_file
from kist.repo.context import RepoContext
from kist.repo.options import REMOTE_OPTIONS
from kist.repo.remotes import location, remote_names, settings_of
from kist.util.paths import nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REPOSITORY_LEVELS = ("tracked", "local")

SECRET = "***"  # noqa: S105 - what is shown instead of one
"""What is shown in place of a secret."""


@dataclass(frozen=True, slots=True)
class RemoteInfo:
    """One configured remote.

    Args:
        name: its name.
        url: its address, without what may hold a secret.
        default: whether push, fetch and pull use it.
        level: where its address is set: ``tracked``, ``local``, ``user``, ``system``, ``environment``.
        options: its other options; secrets are not shown.
    """

    name: str
    url: str
    default: bool
    level: str
    options: Mapping[str, str] = field(default_factory=dict)


def list_remotes(context: RepoContext) -> list[RemoteInfo]:
    """The configured remotes, by name.

    Args:
        context: the repository.
    """
    chosen = _default_name(context)
    return [_info(context, name, default=name == chosen) for name in remote_names(context)]


def default_name(context: RepoContext) -> str | None:
    """The remote that is used when none is named, None if that is not settled."""
    return _default_name(context)


def _default_name(context: RepoContext) -> str | None:
    names = remote_names(context)
    return context.config.get("core.remote") or (names[0] if len(names) == 1 else None)


def _info(context: RepoContext, name: str, *, default: bool) -> RemoteInfo:
    section = context.config.section("remote")[name]
    setting = context.config.find(f"remote.{name}.url")
    shown = {
        option: SECRET if is_secret(context.plugins, context.config, name, option) else str(value)
        for option, value in sorted(section.items())
        if option != "url"
    }
    return RemoteInfo(name, show_url(str(section.get("url", ""))), default, setting.level if setting else "", shown)


def show_url(text: str) -> str:
    """A remote's address for people: a plain path as it is, a URL without its query, which may hold a secret."""
    try:
        return str(RemoteURL.parse(text)) if "://" in text else text
    except InvalidOption:
        return SECRET


def is_secret(plugins: Plugins, config: Config, name: str, option: str) -> bool:
    """Whether a remote's option is one that is never shown: declared so, or named like one where nobody declares it."""
    if option in REMOTE_OPTIONS:
        return False
    kind = _kind_of(plugins, config, name)
    declared = {one.name: bool(one.metadata.get("secret")) for one in fields(kind)} if kind else {}
    return declared.get(option, is_secret_name(option))


def is_secret_key(config: Config, key: str) -> bool:
    """Whether a configuration key names a secret of a remote."""
    from kist.operations.plugins import make_plugins

    first, _, rest = key.partition(".")
    name, _, option = rest.rpartition(".")
    return first == "remote" and bool(name) and is_secret(make_plugins(config), config, name, option)


def _kind_of(plugins: Plugins, config: Config, name: str) -> type[Options] | None:
    """The options of a remote's scheme, None where no plugin tells."""
    try:
        url = config.get(f"remote.{name}.url")
        return plugins.remote_options(RemoteURL.parse(str(url)).scheme) if url else None
    except KistError:
        return None


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EditOptions:
    """How to change the configuration.

    Args:
        level: ``tracked``, ``local``, ``user`` or ``system``.
        force: replace what is there.
        dry_run: check everything, write nothing.
    """

    level: str = "tracked"
    force: bool = False
    dry_run: bool = False


def add_remote(
    context: RepoContext, name: str, url: str, options: EditOptions = EditOptions(), *, default: bool = False
) -> RemoteInfo:
    """Give a place a name.

    Args:
        context: the repository.
        name: the new remote's name.
        url: its address; a path is relative to the current folder and kept relative to the repository.
        options: where to write it.
        default: whether it becomes the default.

    Returns:
        The remote.

    Raises:
        UsageError: a name that cannot be one, or that is taken.
        PluginNotFound: no plugin for the scheme, with the distribution to install.
        InvalidOption: not a valid URL.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a remote",
            hint="use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    if name in context.config.section("remote") and not options.force:
        raise UsageError(
            f"there is a remote '{name}' already",
            hint=f"'kist remote modify {name} url URL' changes it, --force replaces its address",
        )
    stored = stored_url(context, url)
    address = location(context, stored)
    context.plugins.remote_options(address.scheme)
    context.plugins.need("remotes", address.scheme)
    if not options.dry_run:
        with context.writing(), context.write_lock():
            _set(context, options.level, f"remote.{name}.url", stored)
            if default:
                _set(context, options.level, "core.remote", name)
    alone = not remote_names(context) and not context.config.get("core.remote")
    return RemoteInfo(name, show_url(stored), default or alone, options.level)


def stored_url(context: RepoContext, text: str) -> str:
    """An address as configuration keeps it.

    Args:
        context: the repository.
        text: as typed; a relative path counts from the current folder.

    Returns:
        A URL, an absolute path, or a path relative to the repository.
    """
    if "://" in text or text.startswith(("~", "/")) or not text:
        return text
    typed = os.path.abspath(text)
    relative = os.path.relpath(typed, context.typed_root)
    if context.typed_root != context.root and os.path.realpath(typed) == os.path.join(context.root, relative):
        return relative
    return os.path.relpath(os.path.realpath(typed), context.root)


def modify_remote(
    context: RepoContext, name: str, option: str, value: str | None, options: EditOptions = EditOptions()
) -> None:
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
    path = level_file(options.level, context.place)
    if value is None:
        if dig(read_file(path), ("remote", name, option)) is None:
            raise ConfigError(
                f"'{key}' is not set in the {options.level} configuration",
                hint="'kist config list --show-origin' shows where things are set",
            )
        if not options.dry_run:
            with context.writing(), context.write_lock():
                unset_value(path, options.level, key)
        return
    if option == "url":
        value = stored_url(context, value)
        context.plugins.need("remotes", location(context, value).scheme)
    secret = check_option(context, name, option, value, options.level)
    if not options.dry_run:
        with context.writing(), context.write_lock():
            set_value(path, options.level, key, value, secret=secret)


def check_option(context: RepoContext, name: str, option: str, value: Any, level: str) -> bool:
    """Check a value of a remote's option against what its plugin declares.

    Args:
        context: the repository.
        name: the remote.
        option: the option.
        value: the value.
        level: where it is to stand.

    Returns:
        Whether it is a secret.

    Raises:
        UnknownOption: the plugin has no such option, with the nearest one.
        InvalidOption: the value does not fit, or tracked configuration must not hold it.
        PluginNotFound: no plugin for the remote's scheme.
    """
    if option in REMOTE_OPTIONS:
        return False
    url = location(context, str(settings_of(context, name)["url"]))
    kind = context.plugins.remote_options(url.scheme)
    known = {one.name: one for one in fields(kind)}
    if option not in known:
        close = nearest(option, [*known, *REMOTE_OPTIONS])
        raise UnknownOption(
            f"{url.scheme} remotes have no option '{option}'",
            hint=f"did you mean '{close}'?" if close else f"options: {', '.join(sorted([*known, *REMOTE_OPTIONS]))}",
            remote=name,
        )
    one = known[option]
    single: Any = make_dataclass(
        "Single",
        [(option, one.type, field(default=None, metadata=dict(one.metadata)))],
        bases=(Options,),
        frozen=True,
        kw_only=True,
    )
    single.from_mapping({option: value})
    secret = bool(one.metadata.get("secret"))
    if level == "tracked" and not one.metadata.get("shared"):
        what = "is a secret" if secret else "counts only in your own configuration, not in what comes with a clone"
        raise InvalidOption(
            f"the option '{option}' {what}",
            hint=f"kist remote modify --local {name} {option} {'VALUE' if secret else value}",
            remote=name,
        )
    return secret


def remove_remote(context: RepoContext, name: str, options: EditOptions = EditOptions()) -> list[str]:
    """Forget a remote; what lies there stays.

    Args:
        context: the repository.
        name: the remote.
        options: with level ``user`` or ``system``, only there; otherwise in the repository's own configuration.

    Returns:
        Paths of outputs whose metafile still names it.

    Raises:
        ConfigError: no such remote in that configuration.
    """
    _check_there(context, name)
    levels = [level for level in _levels(options) if _section(context, level, name) is not None]
    if not levels:
        setting = context.config.find(f"remote.{name}.url")
        raise ConfigError(
            f"the remote '{name}' stands in the {setting.level if setting else 'other'} configuration",
            hint=f"kist remote remove --global {name}",
        )
    if not options.dry_run:
        with context.writing(), context.write_lock():
            for level in levels:
                if _chosen(context, level) == name:
                    unset_value(level_file(level, context.place), level, "core.remote")
                unset_value(level_file(level, context.place), level, f"remote.{name}")
    return _users(context, name)


def rename_remote(context: RepoContext, old: str, new: str, options: EditOptions = EditOptions()) -> list[str]:
    """Rename a remote, in the tracked and the local configuration.

    Args:
        context: the repository.
        old: its name.
        new: its new name.
        options: as for :func:`remove_remote`.

    Returns:
        Paths of outputs whose metafile still names the old one.

    Raises:
        ConfigError: no such remote in that configuration.
        UsageError: the new name is taken, or cannot be one.
    """
    _check_there(context, old)
    if new in context.config.section("remote"):
        raise UsageError(f"there is a remote '{new}' already")
    if not _NAME.fullmatch(new):
        raise UsageError(f"'{new}' cannot be the name of a remote")
    levels = [level for level in _levels(options) if _section(context, level, old) is not None]
    if not levels:
        raise ConfigError(f"the remote '{old}' stands in the user's configuration", hint="add --global")
    if not options.dry_run:
        with context.writing(), context.write_lock():
            for level in levels:
                _rename_in(context, level, old, new)
    return _users(context, old)


def _rename_in(context: RepoContext, level: str, old: str, new: str) -> None:
    path = level_file(level, context.place)
    for option, value in (_section(context, level, old) or {}).items():
        # It stands at this level already, so what may stand there was decided before.
        set_value(path, level, f"remote.{new}.{option}", value)
    if _chosen(context, level) == old:
        set_value(path, level, "core.remote", new)
    unset_value(path, level, f"remote.{old}")


def set_default(context: RepoContext, name: str | None, options: EditOptions = EditOptions()) -> None:
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
    if options.dry_run:
        return
    with context.writing(), context.write_lock():
        if name is None:
            unset_value(level_file(options.level, context.place), options.level, "core.remote")
        else:
            _set(context, options.level, "core.remote", name)


def trust_remote(context: RepoContext, name: str, *, dry_run: bool = False) -> tuple[str, ...]:
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
    if not dry_run:
        trust(context.id, endpoints)
    return endpoints


def _check_there(context: RepoContext, name: str) -> None:
    section = context.config.section("remote")
    if name not in section:
        close = nearest(name, list(section))
        raise ConfigError(
            f"there is no remote '{name}'",
            hint=f"did you mean '{close}'?" if close else "'kist remote list' shows what there is",
            remote=name,
        )


def _levels(options: EditOptions) -> tuple[str, ...]:
    return _REPOSITORY_LEVELS if options.level == "tracked" else (options.level,)


def _section(context: RepoContext, level: str, name: str) -> dict[str, Any] | None:
    found = dig(read_file(level_file(level, context.place)), ("remote", name))
    return found if isinstance(found, dict) else None


def _chosen(context: RepoContext, level: str) -> Any:
    return dig(read_file(level_file(level, context.place)), ("core", "remote"))


def _set(context: RepoContext, level: str, key: str, value: str) -> None:
    set_value(level_file(level, context.place), level, key, value)


def _users(context: RepoContext, name: str) -> list[str]:
    return [one.path for one in context.tracked() if one.output.remote == name]
