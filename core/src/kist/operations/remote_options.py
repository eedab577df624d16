"""Options of remotes as their plugins declare them: which are secret, which values fit, which may be tracked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, Field, field, make_dataclass
from typing import Any
from urllib.parse import parse_qsl

from kist.abc.options import Options, declared_options
from kist.abc.remote import RemoteURL
from kist.errors import InvalidOption, KistError, UnknownOption
from kist.plugins.registry import Plugins
from kist.repo.config import Config
from kist.repo.config_edit import is_secret_name
from kist.repo.context import RepoContext
from kist.repo.options import REMOTE_OPTIONS
from kist.repo.remotes import location, named, settings_of
from kist.util.paths import nearest
from kist.util.slotted import slotted

SECRET = "***"  # noqa: S105 - what is shown instead of one
"""What is shown in place of a secret."""


def show_url(text: str) -> str:
    """A remote's address for people: a plain path as it is, a URL without its query, which may hold a secret."""
    try:
        return str(RemoteURL.parse(text)) if "://" in text else text
    except InvalidOption:
        return SECRET


def show_value(value: Any) -> str:
    """An option's value for people: an address with a secret in it, as somebody may have written it, does not show."""
    try:
        check_address(str(value))
    except InvalidOption:
        return SECRET
    return str(value)


def is_secret(plugins: Plugins, config: Config, name: str, option: str) -> bool:
    """Whether a remote's option is one that is never shown: declared so, or named like one where nobody declares it."""
    if option in REMOTE_OPTIONS:
        return False
    kind = _kind_of(plugins, config, name)
    declared = {one.name: bool(one.metadata.get("secret")) for one in declared_options(kind)} if kind else {}
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


def check_address(text: str) -> None:
    """Refuse an address that holds a secret: it would stand where it is shown and shared.

    Args:
        text: a remote's URL, or any other value that may be one.

    Raises:
        InvalidOption: there is a password in it, or a query that is named like a secret.
    """
    _, there, rest = text.partition("://")
    if not there:
        return
    address, _, query = rest.partition("?")
    host = address.partition("/")[0]
    user, named, _ = host.rpartition("@")
    port = host.rpartition("]")[2].partition(":")[2]
    cut_off = "@" in rest and not named and bool(port) and not port.isdigit()  # a password with a slash in it
    names = [name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)]
    if ":" in user or cut_off or any(is_secret_name(name) or name.endswith(_SIGNED) for name in names):
        raise InvalidOption(
            "a URL must not hold a password or another secret",
            hint="leave it out and set the secret with 'kist remote modify --local NAME OPTION VALUE'",
        )


_SIGNED = ("sig", "signature", "key", "pwd")
"""How names of secrets in a query end, beside those that :func:`is_secret_name` knows."""


def check_place(context: RepoContext, name: str, text: str) -> RemoteURL:
    """Check that an address can be one of a remote, as far as that can be told without asking anybody.

    Args:
        context: the repository.
        name: the remote, for the error.
        text: the address, as configuration keeps it.

    Returns:
        The address.

    Raises:
        InvalidOption: it never can be, or it holds a secret.
        PluginNotFound: no plugin for the scheme.
    """
    check_address(text)
    with named(name):
        url = location(context, text)
        context.plugins.remote_options(url.scheme).check_url(url)
    return url


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
        InvalidOption: the value does not fit, holds a secret in an address, or must not be tracked.
        PluginNotFound: no plugin for the remote's scheme.
    """
    if option == "url":
        check_place(context, name, str(value))
    if option in REMOTE_OPTIONS:
        return False
    url = location(context, str(settings_of(context, name)["url"]))
    return check_value(declared(context, url, name, option), name, value, level)


def declared(context: RepoContext, url: RemoteURL, name: str, option: str) -> Field[Any]:
    """An option as the plugin for an address declares it.

    Args:
        context: the repository.
        url: the remote's address.
        name: the remote, for the error.
        option: the option's name.

    Raises:
        UnknownOption: the plugin has no such option, with the nearest one.
        PluginNotFound: no plugin for the scheme.
    """
    known = {one.name: one for one in declared_options(context.plugins.remote_options(url.scheme))}
    if option not in known:
        close = nearest(option, [*known, *REMOTE_OPTIONS])
        raise UnknownOption(
            f"{url.scheme} remotes have no option '{option}'",
            hint=f"did you mean '{close}'?" if close else f"options: {', '.join(sorted([*known, *REMOTE_OPTIONS]))}",
            remote=name,
        )
    return known[option]


def may_be_tracked(one: Field[Any]) -> bool:
    """Whether what comes with a clone may set this option."""
    return bool(one.metadata.get("shared"))


def check_value(one: Field[Any], name: str, value: Any, level: str) -> bool:
    """Check a value against the declaration of its option.

    Args:
        one: the declaration.
        name: the remote, for the error.
        value: the value.
        level: where it is to stand.

    Returns:
        Whether it is a secret.

    Raises:
        InvalidOption: the value does not fit, holds a secret in an address, or must not be tracked.
    """
    single: Any = make_dataclass(
        "Single",
        [(one.name, one.type, field(default=None, metadata=dict(one.metadata)))],
        bases=(Options,),
        frozen=True,
        kw_only=True,
    )
    with named(name):
        single.from_mapping({one.name: value})
    secret = bool(one.metadata.get("secret"))
    if not secret:
        check_address(str(value))
    if level == "tracked" and not may_be_tracked(one):
        what = "is a secret" if secret else "counts only in your own configuration, not in what comes with a clone"
        raise InvalidOption(
            f"the option '{one.name}' {what}",
            hint=f"kist remote modify --local {name} {one.name} {'VALUE' if secret else value}",
            remote=name,
        )
    return secret


@slotted(frozen=True)
class OptionRow:
    """One option of a remote, for people.

    Args:
        name: its name.
        default: its default as text, "" where there is none.
        help: what it means.
        notes: what else is to be known: choices, variable, that it is secret or may be tracked.
    """

    name: str
    default: str
    help: str
    notes: tuple[str, ...] = ()


def options_by_scheme(plugins: Plugins) -> dict[str, list[OptionRow]]:
    """The options that installed plugins declare, by their URL schemes; schemes with the same options together.

    Args:
        plugins: the installed plugins; one that does not work is left out.

    Returns:
        Schemes, one or several such as ``box://, boxes://``, to options; "" holds those that every remote has.
    """
    shown = {"": [OptionRow(one.key, _default_text(one.default), one.help) for one in REMOTE_OPTIONS.values()]}
    schemes: dict[type[Options], list[str]] = {}
    for key in sorted(plugins.index.keys("remotes")):
        with suppress(KistError):
            schemes.setdefault(plugins.remote_options(key), []).append(f"{key}://")
    for kind, names in schemes.items():
        shown[", ".join(names)] = [_row(one) for one in declared_options(kind)]
    return shown


def _row(one: Field[Any]) -> OptionRow:
    about = one.metadata
    notes = []
    if about.get("choices"):
        notes.append("one of " + ", ".join(map(str, about["choices"])))
    if about.get("env"):
        notes.append(f"or {about['env']}")
    if about.get("secret"):
        notes.append("secret")
    if about.get("shared"):
        notes.append("may be tracked")
    default = "" if one.default is MISSING else _default_text(one.default)
    return OptionRow(one.name, default, about["help"], tuple(notes))


def _default_text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
