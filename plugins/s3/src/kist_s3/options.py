"""What a remote in S3 lets people set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kist.abc import Options, RemoteURL, between, option
from kist.errors import InvalidOption
from kist_s3.address import check_region, endpoint_of, place_of

_UNREADABLE = {"GLACIER", "DEEP_ARCHIVE"}
"""Storage classes whose objects cannot be read before somebody asks for them and waits for hours."""


def _check_endpoint(_: str, value: str) -> None:
    if value:  # an empty one is none
        endpoint_of(value)


def _check_region(_: str, value: str) -> None:
    if value:
        check_region(value)


def _check_storage_class(_: str, value: Any) -> None:
    if value in _UNREADABLE:
        raise InvalidOption(
            f"the storage class {value} cannot be read at once",
            hint="choose GLACIER_IR, or let a lifecycle rule move old objects and restore them before a pull",
        )


@dataclass(frozen=True, kw_only=True)
class S3Options(Options):
    """Options of a remote in S3.

    Raises:
        InvalidOption: values that make no sense, or not together.
    """

    endpoint_url: str | None = option(
        None,
        help="Where the store is, if it is not Amazon's; without a scheme it is https.",
        env="AWS_ENDPOINT_URL_S3",
        shared=True,
        choices=_check_endpoint,
    )
    region: str | None = option(
        None,
        help="The bucket's region, if not the one that the profile names.",
        env="AWS_REGION",
        shared=True,
        choices=_check_region,
    )
    addressing: str = option(
        "auto",
        help="Where the bucket stands: path, or virtual for the host name; auto: as the endpoint usually wants it.",
        choices=("auto", "path", "virtual"),
        shared=True,
    )
    profile: str | None = option(None, help="The profile in ~/.aws to take credentials from, before the environment.")
    access_key_id: str | None = option(None, help="An access key, instead of those that the usual places give.")
    secret_access_key: str | None = option(None, help="The secret of `access_key_id`.", secret=True)
    session_token: str | None = option(None, help="The token of a temporary `access_key_id`.", secret=True)
    anonymous: bool = option(False, help="Send no credentials, as to a public bucket.", shared=True)
    verify: bool = option(True, help="Check the server's TLS certificate; off lets anybody listen.")
    ca_bundle: str | None = option(
        None, help="A file with further certificate authorities to accept, in PEM.", env="AWS_CA_BUNDLE"
    )
    storage_class: str | None = option(
        None,
        help="The storage class of what is stored, such as STANDARD_IA.",
        shared=True,
        choices=_check_storage_class,
    )
    sse: str | None = option(
        None,
        help="How the server encrypts what is stored, if not as the bucket says: AES256, aws:kms or aws:kms:dsse.",
        choices=("AES256", "aws:kms", "aws:kms:dsse"),
        shared=True,
    )
    sse_kms_key_id: str | None = option(None, help="The key for `sse` with KMS.", shared=True)
    checksum: str = option(
        "none",
        help="A checksum to send beside the signature, for the server to keep: none, sha256 or crc64nvme.",
        choices=("none", "sha256", "crc64nvme"),
        shared=True,
    )
    requester_pays: bool = option(False, help="Agree to pay for requests to somebody else's bucket.")
    conditional_writes: str = option(
        "auto",
        help="Whether the server honours If-None-Match: yes, no; auto: Amazon's does, others are tried first.",
        choices=("auto", "yes", "no"),
        shared=True,
    )
    connect_timeout: float = option(
        5.0, help="Seconds to wait for a connection.", shared=True, choices=between(0.001, 86400)
    )
    read_timeout: float = option(
        60.0, help="Seconds to wait for the server's next bytes.", shared=True, choices=between(0.001, 86400)
    )

    def __post_init__(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise InvalidOption("the options 'access_key_id' and 'secret_access_key' go together: set both or none")
        if self.session_token is not None and self.access_key_id is None:
            raise InvalidOption("the option 'session_token' needs 'access_key_id' and 'secret_access_key'")
        if self.anonymous and (self.access_key_id is not None or self.profile is not None):
            raise InvalidOption("the option 'anonymous' does not go with credentials: unset one of them")
        if self.sse_kms_key_id is not None and self.sse not in ("aws:kms", "aws:kms:dsse"):
            raise InvalidOption("the option 'sse_kms_key_id' needs 'sse' to be aws:kms or aws:kms:dsse")

    @classmethod
    def check_url(cls, url: RemoteURL) -> None:
        """Refuse what is no bucket and prefix."""
        place_of(url)
