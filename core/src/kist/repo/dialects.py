"""Repositories by their marker folders: which one a folder lies in, and what the dialect's own tool says of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kist.abc.dialect import Dialect
from kist.errors import ConfigError, NotARepo
from kist.plugins.catalog import foreign_markers
from kist.plugins.registry import Plugins
from kist.repo import layout
from kist.repo.config import Config
from kist.repo.config_files import MAX_SIZE, file_error, read_bytes, read_file
from kist.repo.layout import CONFIG, MARKER, Place
from kist.util.atomic import storage_errors
from kist.util.paths import is_reserved
from kist.util.yaml12 import YAMLError


def markers_of(plugins: Plugins) -> frozenset[str]:
    """The marker folders of other dialects that are installed and not blocked; nothing is imported.

    A marker that is no plain name of a hidden folder, or that is Git's, makes nothing a repository.
    """
    return frozenset(
        key
        for key in plugins.index.keys("dialects")
        if key != MARKER and _is_marker(key) and plugins.usable("dialects", key)
    )


def _is_marker(name: str) -> bool:
    return name.startswith(".") and "/" not in name and name not in (".", "..") and not is_reserved(os.fsencode(name))


def open_place(start: Path, plugins: Plugins, trusted: Iterable[str]) -> Place:
    """The repository that a folder lies in.

    Args:
        start: an absolute folder.
        plugins: the plugins as the user and the machine configure them.
        trusted: repositories of others that the user trusts: ``safe.directory``.

    Raises:
        NotARepo: there is none at or above it.
        RepoNotOwned: it belongs to another user.
    """
    others = cache(lambda: sorted(markers_of(plugins)))  # asked of each folder on the way up
    root, marker = layout.find_root(start, others, lambda: foreign_markers(plugins))
    trusted = tuple(trusted)
    layout.check_owner([root, root / marker], root, trusted)
    place = layout.find_place(root, _identity(root) if marker == MARKER else "", marker)
    if place.git is not None:  # the local configuration lies there, and tells where credentials go
        layout.check_owner([place.git.folder, place.git.common], root, trusted)
    return place


def _identity(root: Path) -> str:
    """The repository's id out of its tracked configuration."""
    path = root / MARKER / CONFIG
    if not path.exists():
        raise NotARepo(f"{root / MARKER} has no {CONFIG}", hint="run 'kist init' to make a repository here")
    section = read_file(path, tracked=True).get("repository")
    return layout.check_id(section.get("id") if isinstance(section, dict) else section)


def load_config(place: Place, plugins: Plugins, overrides: Mapping[str, Any]) -> Config:
    """The configuration of a repository, with that of its dialect's own tool.

    Args:
        place: where it keeps what.
        plugins: the plugins as the user and the machine configure them.
        overrides: dotted key -> value, from the command line.

    Raises:
        KistError: see :meth:`kist.repo.config.Config.load`.
        PluginError: the dialect's plugin does not work, or answers what it may not.
    """
    if place.marker == MARKER:
        return Config.load(place, overrides=overrides)
    dialect = plugins.dialect(place.marker)
    read = [(str(place.root / path), _read(dialect, place.root, path)) for path in dialect.config_sources()]
    return Config.load(place, overrides=overrides, sources=read)


def _read(dialect: Dialect, root: Path, path: str) -> dict[str, Any]:
    """What a configuration file of another tool says; {} where it is not there, or a folder on the way is a link."""
    file = root / path
    if not all(layout.is_folder(folder) for folder in file.parents if folder.is_relative_to(root)):
        return {}
    with storage_errors(file):
        data = read_bytes(file, tracked=True)
    if len(data) > MAX_SIZE:
        raise ConfigError(f"{file} is larger than {MAX_SIZE} bytes", path=str(file), hint="mend the file")
    try:
        return _plain(dialect.read_config(path, data)) if data.strip() else {}
    except YAMLError as exc:
        raise file_error(file, exc) from exc


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as dictionaries of our own, which may be changed."""
    return {str(key): _plain(value) if isinstance(value, Mapping) else value for key, value in values.items()}
