"""Change single values of configuration files in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from kist.engine.process.scratch import write_alone
from kist.errors import InvalidOption
from kist.repo.config import Key, dig, known, split_key
from kist.repo.config_files import MAX_SIZE, file_error, read_bytes, read_file
from kist.repo.options import Known
from kist.util.atomic import storage_errors, write_file
from kist.util.slotted import slotted
from kist.util.yaml12 import YAMLError
from kist.util.yaml_edit import Document

_SECRET_WORDS = (
    "password",
    "secret",
    "token",
    "credential",
    "passphrase",
    "private_key",
    "access_key",
    "sas",
    "api_key",
)


@slotted(frozen=True)
class EditedFile:
    """A configuration file that was changed, or would be.

    Args:
        path: where it is.
        bytes: its size, as it is then.
    """

    path: str
    bytes: int


_OF_REPOSITORY = ("tracked", "local")
"""Levels whose files are written inside ``writing()``."""


def is_secret_name(option: str) -> bool:
    """Whether an option that nobody declares is named like a secret."""
    return any(word in option for word in _SECRET_WORDS)


def set_values(
    path: Path, level: str, values: Mapping[str, Any], *, secrets: Collection[str] = (), dry_run: bool = False
) -> EditedFile | None:
    """Set and remove several keys of one file at once: whoever is killed has changed all of them or none.

    Args:
        path: the file.
        level: its level.
        values: by dotted key; None removes the key, or a whole remote (``remote.<name>``).
        secrets: keys of options that are declared secret.
        dry_run: check everything, write nothing.

    Returns:
        The file as it is now, or would be; None if nothing of it changes.

    Raises:
        UnknownOption: no such key.
        InvalidOption: a value that does not fit, a secret in tracked configuration, or a key that does not count there.
        ConfigError: the file is not valid.
        StorageError: it cannot be written.
    """
    changes: list[tuple[Key, Any]] = []
    for key, value in values.items():
        if value is None:
            changes.append((_parts(path, key), None))
        else:
            changes.append((split_key(key), check_setting(level, key, value, secret=key in secrets)))
    return _edit(path, level, changes, dry_run=dry_run)


def check_setting(level: str, key: str, value: Any, *, secret: bool = False) -> Any:
    """Check what :func:`set_values` is to set, and set nothing.

    Args:
        level: where it is to stand.
        key: dotted.
        value: the value.
        secret: whether the option is declared secret.

    Returns:
        The value as a file keeps it.

    Raises:
        UnknownOption: no such key.
        InvalidOption: a value that does not fit, a secret in tracked configuration, or a key that does not count there.
    """
    parts = split_key(key)
    about = known(parts)
    if level == "tracked":
        _check_tracked(key, parts, about, secret=secret)
    if about is None:
        return value
    typed = about.convert({"x": value} if len(parts) == 4 else value, f"kist config {key}")
    return _storable(about, typed, value) if len(parts) < 4 else value


def _parts(path: Path, key: str) -> Key:
    """What a key to be removed stands for: a whole remote, or one key."""
    first, _, name = key.partition(".")
    whole_remote = first == "remote" and name and dig(read_file(path), ("remote", name)) is not None
    return ("remote", name) if whole_remote else split_key(key)


def _check_tracked(key: str, parts: Key, about: Known | None, *, secret: bool) -> None:
    local = f"use 'kist config --local {key} VALUE'"
    if secret or (parts[0] == "remote" and about is None and is_secret_name(parts[-1])):
        raise InvalidOption(f"'{key}' is a secret and must not be set in tracked configuration", hint=local)
    if about is not None and not about.tracked:
        raise InvalidOption(f"'{key}' does not count in tracked configuration, which comes with a clone", hint=local)


def _storable(about: Known, typed: Any, given: Any) -> Any:
    if about.kind == "list":
        return list(typed)
    return typed if about.kind in ("int", "bool", "str") else given


def _edit(path: Path, level: str, changes: Sequence[tuple[Key, Any]], *, dry_run: bool = False) -> EditedFile | None:
    """Set or (None) remove keys; None if nothing changed, and then the file is not written."""
    changed = False
    parts: Key = ()
    with storage_errors(path):
        data = read_bytes(path, tracked=level == "tracked")
    try:
        document = Document(data, max_size=MAX_SIZE)
        for parts, value in changes:
            if value is None:
                changed = document.remove(parts) or changed
            else:
                document.set(parts, value)
                changed = True
    except YAMLError as exc:
        raise file_error(path, exc) from exc
    except ValueError as exc:
        raise InvalidOption(f"'{'.'.join(parts)}': {exc}") from exc
    if not changed:
        return None
    new = document.dump()
    edited = EditedFile(str(path), len(new))
    if dry_run:
        return edited
    with storage_errors(path):
        path.parent.mkdir(mode=0o755 if level == "system" else 0o700, parents=True, exist_ok=True)
    if level in _OF_REPOSITORY:
        write_file(path, new, mode=0o600 if level == "local" else None)
    else:
        write_alone(path, new)
    return edited
