"""Ask a server for the region of a bucket, after it pointed to another one without saying which."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from kist_s3.client import Client

_PATIENCE = 3.0


def ask_region(client: Client) -> str:
    """Ask without credentials; the answer names the region even where it is a refusal.

    Args:
        client: where to ask.

    Returns:
        The region, "" where the server does not say.
    """
    import http.client  # late: hardly anybody comes here

    address = client.address()
    parts = urlsplit(address.endpoint)
    secure = parts.scheme == "https"
    if secure and not client.options.verify:
        return ""
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_PATIENCE)
    try:
        connection.request("HEAD", f"/{address.bucket}")
        found = connection.getresponse().getheader("x-amz-bucket-region") or ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    return found if re.fullmatch(r"[a-z0-9-]{1,32}", found) else ""
