"""Configuration files: where they lie, how they are read, how a value is changed in place."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kist.errors import ConfigError
from kist.util.atomic import storage_errors
from kist.util.paths import display
from kist.util.yaml12 import YAMLError, load

if TYPE_CHECKING:
    from kist.repo.layout import Place

MAX_SIZE = 1 << 20


def user_file(env: Mapping[str, str]) -> Path:
    """The user's configuration: ``KIST_USER_CONFIG``, or the platform's place."""
    if env.get("KIST_USER_CONFIG"):
        return Path(env["KIST_USER_CONFIG"])
    home = Path(env.get("HOME") or os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "kist" / "config.yaml"
    return Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "kist" / "config.yaml"


def system_file(env: Mapping[str, str]) -> Path:
    """The machine's configuration: ``KIST_SYSTEM_CONFIG``, or ``/etc/kist/config.yaml``."""
    return Path(env.get("KIST_SYSTEM_CONFIG") or "/etc/kist/config.yaml")


def level_file(level: str, place: Place | None, env: Mapping[str, str] | None = None) -> Path:
    """The file of a level.

    Args:
        level: ``system``, ``user``, ``tracked`` or ``local``.
        place: the repository's places, None outside of one.
        env: the environment, None for that of the process.

    Returns:
        Its path; it need not exist.

    Raises:
        ConfigError: the level needs a repository, or has no file.
    """
    env = os.environ if env is None else env
    if level in ("system", "user"):
        return system_file(env) if level == "system" else user_file(env)
    if place is None or level not in ("tracked", "local"):
        raise ConfigError(f"there is no {level} configuration here", hint="outside of a repository, use --global")
    return place.config if level == "tracked" else place.local_config


def read_file(path: Path, *, tracked: bool = False) -> dict[str, Any]:
    """The data of one configuration file.

    Args:
        path: the file.
        tracked: see :func:`read_bytes`.

    Returns:
        Its data, {} where there is no such file.

    Raises:
        ConfigError: it is not valid, with line and column.
        StorageError: it cannot be read.
    """
    with storage_errors(path):
        data = read_bytes(path, tracked=tracked)
    try:
        values = load(data, max_size=MAX_SIZE) if data.strip() else {}
    except YAMLError as exc:
        raise file_error(path, exc) from exc
    if not isinstance(values, (dict, type(None))):
        raise ConfigError(
            f"{display(str(path))}: a configuration file holds sections such as 'core:', with keys below them",
            path=str(path),
            hint="mend the file, or take it from Git again" if tracked else "mend the file",
        )
    return values or {}


def read_level(level: str, place: Place | None) -> dict[str, Any]:
    """The data of the file of a level, {} where there is no such file.

    Args:
        level: as for :func:`level_file`.
        place: the repository's places, None outside of one.

    Raises:
        ConfigError: the level needs a repository, or its file is not valid.
        StorageError: it cannot be read.
    """
    return read_file(level_file(level, place), tracked=level == "tracked")


def read_bytes(path: Path, *, tracked: bool = False) -> bytes:
    """The bytes of a file up to the limit and one more, b"" where there is none.

    Args:
        path: the file.
        tracked: whether it comes with a clone, so that it may be no link.

    Raises:
        ConfigError: it is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | tracked * os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _irregular(path) from None
        raise
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) and (tracked or path != Path(os.devnull)):
            raise _irregular(path)
        return stream.read(MAX_SIZE + 1)


def _irregular(path: Path) -> ConfigError:
    shown = display(str(path))
    return ConfigError(f"{shown} is not a regular file", path=str(path), hint="put a file there, or take it away")


def file_error(path: Path, exc: YAMLError) -> ConfigError:
    """The error for a file that is not valid, with its place."""
    place = f"{display(str(path))}:{exc.line}:{exc.column}" if exc.line else display(str(path))
    quoted = f"\n  {exc.text}\n  {' ' * (exc.column - 1)}^" if exc.text and exc.text.isprintable() else ""
    return ConfigError(f"{place}: {display(exc.message)}{quoted}", path=str(path), hint="mend the file")
