"""Which endpoints may receive credentials: those that the user named, or trusts for one repository."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kist.abc.remote import RemoteURL
from kist.engine.process.scratch import write_alone
from kist.repo.config import Config
from kist.repo.config_edit import EditedFile
from kist.repo.config_files import user_file
from kist.util.atomic import storage_errors
from kist.util.json_text import load_json

FORMAT = "kist-trust/1"
ENVIRONMENT = "KIST_TRUST_ENDPOINTS"
"""Names endpoints that are trusted everywhere, separated by commas; ``*`` for all. Meant for CI."""

_ENDPOINT_OPTIONS = ("endpoint", "endpoint_url", "host")
_LIMIT = 1 << 20


def trust_file(env: Mapping[str, str] = os.environ) -> Path:
    """Where the user's decisions are kept: beside the user's configuration."""
    return user_file(env).with_name("trusted-endpoints.json")


def endpoints_of(url: RemoteURL, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The places that a remote's credentials would go to.

    Args:
        url: its address.
        values: its options.

    Returns:
        The URL's scheme and host, and whatever endpoint the options name.
    """
    port = f":{url.port}" if url.port is not None else ""
    named = [str(values[name]) for name in _ENDPOINT_OPTIONS if values.get(name)]
    return (f"{url.scheme}://{url.host}{port}", *named)


def needs_trust(config: Config, name: str) -> bool:
    """Whether a remote's place is named only by configuration that came with a clone."""
    keys = [f"remote.{name}.{option}" for option in ("url", *_ENDPOINT_OPTIONS)]
    found = [setting for key in keys if (setting := config.find(key)) is not None]
    return any(setting.level == "tracked" for setting in found)


def is_trusted(repository_id: str, endpoints: tuple[str, ...], env: Mapping[str, str] = os.environ) -> bool:
    """Whether the user agreed that this repository may use credentials at all of these places.

    Args:
        repository_id: the repository.
        endpoints: as :func:`endpoints_of` gives them.
        env: the environment.
    """
    everywhere = {one.strip() for one in env.get(ENVIRONMENT, "").split(",") if one.strip()}
    if "*" in everywhere:
        return True
    trusted = everywhere | set(_read(trust_file(env)).get(repository_id, []))
    return all(one in trusted for one in endpoints)


def trust(
    repository_id: str, endpoints: tuple[str, ...], env: Mapping[str, str] = os.environ, *, dry_run: bool = False
) -> EditedFile:
    """Record that the user trusts these places for one repository.

    Args:
        repository_id: the repository.
        endpoints: as :func:`endpoints_of` gives them.
        env: the environment.
        dry_run: record nothing.

    Returns:
        The file that keeps it, or would.

    Raises:
        StorageError: it cannot be written.
    """
    path = trust_file(env)
    known = _read(path)
    known[repository_id] = sorted({*known.get(repository_id, []), *endpoints})
    data = (json.dumps({"format": FORMAT, "trusted": known}, sort_keys=True, indent=1) + "\n").encode()
    edited = EditedFile(str(path), len(data))
    if dry_run:
        return edited
    with storage_errors(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_alone(path, data, mode=0o600)
    return edited


def _read(path: Path) -> dict[str, list[str]]:
    """What is recorded; a file that cannot be read trusts nobody."""
    try:
        with open(path, "rb") as stream:
            data = load_json(stream.read(_LIMIT))
        return {
            str(key): [str(one) for one in value]
            for key, value in data["trusted"].items()
            if data["format"] == FORMAT and isinstance(value, list)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
