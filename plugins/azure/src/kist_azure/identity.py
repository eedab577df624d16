"""Whose credentials a sign-in gave, for `kist doctor`."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any

from kist_azure.access import Access

if TYPE_CHECKING:
    from kist_azure.connection import Connection

_NAMES = ("upn", "preferred_username", "unique_name", "app_displayname", "appid", "oid")
"""Claims of an access token that tell who it is for, the clearest first."""


class _Listener(logging.Handler):
    """Hears which of the chain's sources gave the token: azure-identity tells that in its log only."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.source = ""

    def emit(self, record: logging.LogRecord) -> None:
        args: Any = record.args
        if isinstance(args, tuple) and len(args) > 1 and "acquired a token" in str(record.msg):
            self.source = str(args[1])


def identity_of(connection: Connection, access: Access) -> list[tuple[str, str]]:
    """Sign in, and tell as whom.

    Args:
        connection: the remote's connection.
        access: the credentials in use.

    Returns:
        Pairs for the report, without the token.
    """
    listener, logger = _Listener(), logging.getLogger("azure.identity")
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        token = connection.token()
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
    pairs = [("signed in by", listener.source)] if listener.source else []
    return [*pairs, ("identity", claimed_name(token) or access.identity)]


def claimed_name(token: str) -> str:
    """The name in an access token; nothing is checked, that is the service's part.

    Args:
        token: a JSON web token.

    Returns:
        The name with its tenant, "" where the token tells none.
    """
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        name = next((str(claims[one]) for one in _NAMES if claims.get(one)), "")
    except (IndexError, ValueError, TypeError, AttributeError):
        return ""
    tenant = f" of tenant {claims['tid']}" if name and claims.get("tid") else ""
    return name + tenant
