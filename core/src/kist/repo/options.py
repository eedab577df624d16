"""The configuration keys that the core knows: type, default, help, environment variable, and who may set them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kist.errors import InvalidOption
from kist.util.paths import display
from kist.util.slotted import slotted
from kist.util.units import parse_duration, parse_size


@slotted(frozen=True)
class Known:
    """One known key.

    Args:
        key: dotted.
        kind: ``str``, ``int``, ``bool``, ``size`` (bytes), ``duration`` (seconds), ``list`` (of text) or ``map``.
        default: its value where nobody sets it.
        help: one sentence.
        env: a short environment variable beside ``KIST_CONFIG__…``.
        choices: the values (of a list: the members) that it may take.
        tracked: whether it counts in tracked configuration, which comes with a clone. Whatever runs a program, loads a
            plugin, leads out of the repository or weakens a safeguard must not.
    """

    key: str
    kind: str
    default: Any
    help: str
    env: str | None = None
    choices: Sequence[str] | None = None
    tracked: bool = False

    def convert(self, value: Any, origin: str) -> Any:
        """The value with its type.

        Args:
            value: what a file, the environment or the command line says.
            origin: where it says so, for messages.

        Returns:
            The typed value.

        Raises:
            InvalidOption: it does not fit.
        """
        try:
            typed: Any = _CONVERT[self.kind](value)
        except (ValueError, TypeError) as exc:
            raise InvalidOption(f"{origin}: '{self.key}' {exc}") from None
        for one in typed if self.kind == "list" else [typed]:
            if self.choices and one not in self.choices:
                raise InvalidOption(
                    f"{origin}: '{self.key}' cannot be '{display(str(one))}'",
                    hint=f"choose of: {', '.join(self.choices)}",
                )
        return typed


def _text(value: Any) -> str:
    if isinstance(value, (dict, list, bool)) or value is None or value == "":
        raise ValueError("must be text")
    return str(value)


def _integer(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError("must be a whole number that is not negative")
    return int(text)


def _boolean(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    text = str(value).lower()
    if isinstance(value, (dict, list)) or text not in words:
        raise ValueError("must be true or false")
    return words[text]


def _list(value: Any) -> tuple[str, ...]:
    members: Any = value.split(",") if isinstance(value, str) else value
    if not isinstance(members, (list, tuple)) or not all(isinstance(one, str) for one in members):
        raise ValueError("must be a list of names")
    return tuple(one.strip() for one in members if one.strip())


def _map(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("must be a mapping")  # noqa: TRY004 - as all values that do not fit
    flat: dict[str, str] = {}
    for key, one in value.items():
        if isinstance(one, dict):
            flat.update({f"{key}.{inner}": text for inner, text in _map(one).items()})
        else:
            flat[str(key)] = _text(one)
    return flat


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except ValueError as exc:
        raise ValueError(f"is {exc}") from None


def _duration(value: Any) -> float:
    try:
        return parse_duration(value)
    except ValueError as exc:
        raise ValueError(f"is {exc}") from None


_CONVERT = {
    "str": _text,
    "int": _integer,
    "bool": _boolean,
    "size": _size,
    "duration": _duration,
    "list": _list,
    "map": _map,
}

_SYMLINKS = ("keep", "follow", "refuse")
_FSYNC = ("batch", "each", "off")

_ALL = (
    Known("repository.id", "str", None, "the repository's id, made at init", tracked=True),
    Known("repository.format", "int", 1, "version of the repository's format", tracked=True),
    Known("core.remote", "str", None, "the remote that push, fetch and pull use", "KIST_REMOTE", tracked=True),
    Known("core.hash", "str", None, "hash algorithm of new outputs", "KIST_HASH", tracked=True),
    Known("core.symlinks", "str", "keep", "what add does with symbolic links", choices=_SYMLINKS, tracked=True),
    Known("core.jobs", "int", 0, "pieces of work at once; 0 lets kist choose", "KIST_JOBS"),
    Known("core.fsync", "str", "batch", "when to wait for the disk", "KIST_FSYNC", choices=_FSYNC),
    Known("core.kernel", "str", None, "implementation of the inner loops over files", "KIST_KERNEL"),
    Known("core.executor", "str", None, "what runs the requests to remotes, and verify", "KIST_EXECUTOR"),
    Known("core.lock_timeout", "duration", 300.0, "how long to wait for a lock", "KIST_LOCK_TIMEOUT"),
    Known("cache.dir", "str", None, "the cache's folder, to share it", "KIST_CACHE_DIR"),
    Known("cache.type", "list", ("reflink", "copy"), "link types, best first", "KIST_CACHE_TYPE", tracked=True),
    Known("cache.shared", "str", "private", "who may use the cache", choices=("private", "group")),
    Known("cache.pack_threshold", "size", None, "objects up to this size go into packs", "KIST_PACK_THRESHOLD"),
    Known("transfer.limit_rate", "size", 0, "most bytes a second of all remotes; 0: no limit", "KIST_LIMIT_RATE"),
    Known("transfer.max_requests", "int", 0, "most requests a second of all remotes; 0: no limit", "KIST_MAX_REQUESTS"),
    Known("transfer.memory", "size", 128 << 20, "bytes that transfers hold in memory", "KIST_TRANSFER_MEMORY"),
    Known("plugins.block", "list", (), "distributions or group.key pairs never to load", "KIST_PLUGINS_BLOCK"),
    Known("plugins.prefer", "map", {}, "group.key: the distribution to take where several bring it"),
    Known("gc.grace", "duration", 14 * 86400.0, "how long what gc found stays recoverable", "KIST_GC_GRACE"),
    Known("trash.keep", "duration", 14 * 86400.0, "how long the trash is kept", "KIST_TRASH_KEEP"),
    Known("trash.limit", "size", 100 << 30, "most bytes in the trash; 0: no limit", "KIST_TRASH_LIMIT"),
    Known("safe.directory", "list", (), "repositories of other users that you trust, * for all", "KIST_SAFE_DIRECTORY"),
    Known("ui.color", "str", "auto", "colours in output", "KIST_COLOR", choices=("auto", "always", "never")),
)  # fmt: skip

KNOWN: dict[str, Known] = {one.key: one for one in _ALL}
"""All known keys but those of remotes, which their plugins declare."""

REMOTE_OPTIONS: dict[str, Known] = {
    "url": Known("url", "str", None, "where the remote is", tracked=True),
    "readonly": Known("readonly", "bool", False, "refuse to write to the remote", tracked=True),
    "retries": Known("retries", "int", 5, "how often in a row a call that failed is repeated", tracked=True),
    "retry_time": Known(
        "retry_time",
        "duration",
        300.0,
        "how long after the first failure in a row",
        tracked=True,
    ),
}
"""Options that every remote has."""
