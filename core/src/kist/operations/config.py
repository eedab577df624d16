"""config: settings of all levels, read with their origin and changed in place; works outside of a repository too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from kist.errors import ConfigError, InvalidOption
from kist.repo.config import LEVELS, Config, Setting, dig, known, split_key
from kist.repo.config_edit import EditedFile, set_values
from kist.repo.config_files import level_file, read_level
from kist.repo.options import KNOWN
from kist.util.slotted import slotted

if TYPE_CHECKING:
    from pathlib import Path

    from kist.repo.context import RepoContext
    from kist.repo.layout import Place

__all__ = ["Setting", "Settings", "settings"]

FILE_LEVELS = LEVELS[:4]
"""The levels that have a file: system, user, tracked, local."""


@slotted()
class Settings:
    """The configuration of a repository, or of the user where there is none.

    Args:
        config: all of it.
        place: the repository's places, None outside of one.
        context: the repository, None outside of one.
    """

    config: Config
    place: Place | None = None
    context: RepoContext | None = None

    @classmethod
    def outside(cls, overrides: Mapping[str, Any] | None = None) -> Settings:
        """The configuration where there is no repository."""
        return cls(Config.load(overrides=overrides))

    @classmethod
    def of(cls, context: RepoContext) -> Settings:
        """The configuration of a repository."""
        return cls(context.config, context.place, context)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: str, level: str | None = None) -> Setting:
        """One setting.

        Args:
            key: dotted.
            level: look only there; None: what counts, the default if nobody sets it.

        Returns:
            Its value and where it comes from.

        Raises:
            UnknownOption: no such key, with the nearest one.
            ConfigError: it is not set.
        """
        parts = split_key(key)
        if level is not None:
            path = level_file(level, self.place)
            value = dig(read_level(level, self.place), parts)
            setting = Setting(key, value, level, str(path)) if value is not None else None
        else:
            setting = self.config.find(key)
            about = known(parts)
            if setting is None and about is not None and about.default is not None and parts[0] != "remote":
                setting = Setting(key, about.default, "default", "default")
        if setting is None:
            where = f" in the {level} configuration" if level else ""
            raise ConfigError(f"'{key}' is not set{where}", hint=f"kist config {key} VALUE sets it")
        return self._shown(setting)

    def list(self, level: str | None = None) -> list[Setting]:
        """What is set, sorted by key.

        Args:
            level: only there; None: of each key what counts.

        Returns:
            Settings; secrets are not shown.
        """
        if level is not None and level in FILE_LEVELS:
            level_file(level, self.place)
        found = {setting.key: setting for setting in self.config.settings(level)}
        return [self._shown(found[key]) for key in sorted(found)]

    def _shown(self, setting: Setting) -> Setting:
        """The setting, with anything secret left out."""
        from kist.operations.remote_options import SECRET, is_secret, show_url, show_value

        parts = split_key(setting.key)
        if parts[0] != "remote":
            return setting
        if parts[-1] == "url":
            return Setting(setting.key, show_url(str(setting.value)), setting.level, setting.origin)
        if is_secret(self._plugins(), self.config, parts[1], parts[-1]):
            return Setting(setting.key, SECRET, setting.level, setting.origin)
        if isinstance(setting.value, str):
            return Setting(setting.key, show_value(setting.value), setting.level, setting.origin)
        return setting

    def _plugins(self) -> Any:
        from kist.plugins.registry import Plugins

        return self.context.plugins if self.context is not None else Plugins()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def set(self, key: str, value: str, level: str, *, dry_run: bool = False) -> EditedFile:
        """Set a key at one level.

        Args:
            key: dotted.
            value: its value as text.
            level: ``system``, ``user``, ``tracked`` or ``local``.
            dry_run: check it, write nothing.

        Returns:
            The file, as it is then.

        Raises:
            UnknownOption: no such key, with the nearest one.
            InvalidOption: a value that does not fit, or a key that must not stand there.
            ConfigError: the level needs a repository, or its file is not valid.
        """
        secrets = (key,) if self._check(key, value, level) else ()
        return self._write(level, key, value, secrets, dry_run=dry_run)

    @contextmanager
    def _changing(self, level: str) -> Iterator[Path]:
        """The file of a level, under the repository's lock where it is the repository's."""
        if self.context is None or level not in ("tracked", "local"):
            yield level_file(level, self.place)
            return
        with self.context.writing(), self.context.write_lock():
            yield level_file(level, self.context.place)

    def _check(self, key: str, value: str, level: str) -> bool:
        """Check a value before anything is written; returns whether it is a secret."""
        from kist.operations.remote_options import check_address, check_option, check_place

        parts = split_key(key)
        about = known(parts)
        if about is not None and len(parts) < 4:
            self._check_plugins(key, about.convert(value, f"kist config {key}"))
        if parts[0] == "remote" and parts[-1] == "url":
            if self.context is None:
                check_address(value)
            else:
                check_place(self.context, parts[1], value)
        elif parts[0] == "remote" and self.context is not None:
            return check_option(self.context, parts[1], parts[-1], value, level)
        return False

    def _check_plugins(self, key: str, value: Any) -> None:
        """Refuse a value that names a plugin which nobody brings, and an id that would make a stranger of the cache."""
        if key == "repository.id":
            raise InvalidOption("'repository.id' is made by 'kist init' and never changes")
        kind = {"core.hash": "hashers", "cache.type": "links"}.get(key)
        if kind is None:
            return
        for name in [value] if isinstance(value, str) else value:
            self._plugins().choose(kind, name)

    def unset(self, key: str, level: str, *, dry_run: bool = False) -> EditedFile:
        """Remove a key from one level.

        Args:
            key: dotted.
            level: as for :meth:`set`.
            dry_run: check that it is there, change nothing.

        Returns:
            The file, as it is then.

        Raises:
            UnknownOption: no such key.
            ConfigError: it is not set there.
        """
        if dig(read_level(level, self.place), split_key(key)) is None:
            setting = self.config.find(key)
            where = f"; it is set in {setting.origin}" if setting else ""
            text = f"'{key}' is not set in the {level} configuration{where}"
            raise ConfigError(text, hint="'kist config list --show-origin' shows where things are set")
        return self._write(level, key, None, dry_run=dry_run)

    def _write(
        self, level: str, key: str, value: str | None, secrets: Sequence[str] = (), *, dry_run: bool
    ) -> EditedFile:
        with nullcontext(level_file(level, self.place)) if dry_run else self._changing(level) as path:
            edited = set_values(path, level, {key: value}, secrets=secrets, dry_run=dry_run)
        assert edited is not None  # a value that is set, or one that was found, to be removed
        return edited


def settings(context: RepoContext) -> Iterator[Setting]:
    """Every setting that counts here, with where it comes from; also the defaults.

    Args:
        context: the repository.

    Yields:
        Settings by key; secrets are not shown.
    """
    found = {setting.key: setting for setting in Settings.of(context).list()}
    for about in KNOWN.values():
        if about.default is not None:
            found.setdefault(about.key, Setting(about.key, about.default, "default", "default"))
    yield from (found[key] for key in sorted(found))
