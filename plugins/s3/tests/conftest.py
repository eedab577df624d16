"""The servers that these tests use, and a user without any AWS configuration."""

from __future__ import annotations

import os

import pytest

from servers.moto import moto
from servers.radosgw import radosgw
from servers.s3_stub import s3_stub

__all__ = ["moto", "radosgw", "s3_stub"]


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the machine's own AWS configuration counts, and nobody asks a metadata address."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    none = str(tmp_path_factory.getbasetemp() / "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", none)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", none)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
