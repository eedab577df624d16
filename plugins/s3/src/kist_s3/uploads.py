"""Uploads in parts that a killed process left: invisible, and paid for."""

from __future__ import annotations

import time
import warnings
from typing import Any

from kist_s3.client import Client

_ABANDONED = 24 * 3600.0
"""Seconds after which nobody goes on with an upload: a part takes minutes."""


def abort_abandoned(client: Client) -> int:
    """Give up old uploads below the prefix; obstore cannot list them, so botocore does.

    Args:
        client: where to look.

    Returns:
        How many were given up.
    """
    with warnings.catch_warnings():
        if not client.options.verify:  # the user said so; urllib3 would say it with every request
            warnings.simplefilter("ignore")
        return _abort_all(client)


def _abort_all(client: Client) -> int:
    address = client.address()
    service = _service(client)
    prefix = f"{address.prefix}/" if address.prefix else ""
    aborted = 0
    for page in service.get_paginator("list_multipart_uploads").paginate(Bucket=address.bucket, Prefix=prefix):
        for upload in page.get("Uploads", ()):
            if time.time() - upload["Initiated"].timestamp() >= _ABANDONED:
                service.abort_multipart_upload(Bucket=address.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                aborted += 1
    return aborted


def _service(client: Client) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    options, address, identity = client.options, client.address(), client.identity()
    given = identity.give() if identity.give else {}
    settings: dict[str, Any] = {
        "connect_timeout": options.connect_timeout,
        "read_timeout": options.read_timeout,
        "retries": {"total_max_attempts": 1},
        "s3": {"addressing_style": "virtual" if address.virtual else "path"},
    }
    if identity.give is None:
        settings["signature_version"] = UNSIGNED
    return client.session().create_client(
        "s3",
        region_name=address.region,
        endpoint_url=address.endpoint,
        verify=(options.ca_bundle or True) if options.verify else False,
        aws_access_key_id=given.get("access_key_id"),
        aws_secret_access_key=given.get("secret_access_key"),
        aws_session_token=given.get("token"),
        config=Config(**settings),
    )
