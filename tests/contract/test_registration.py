"""The plugins of this repository under the contract of registration."""

import os

import pytest

from kist.testing import RegistrationContract, assert_light, assert_registered


class TestBlake3(RegistrationContract):
    group, key, module = "hashers", "blake3", "kist_blake3"


class TestLocal(RegistrationContract):
    group, key, module = "remotes", "file", "kist_local"


def test_finds_what_is_missing():
    assert_registered("hashers", "blake3", "kist_blake3", "Kist_BLAKE3")
    with pytest.raises(AssertionError, match="no installed distribution"):
        assert_registered("hashers", "none", "kist_none")
    with pytest.raises(AssertionError, match="names kist_blake3"):
        assert_registered("hashers", "blake3", "kist_other")


def test_finds_what_is_heavy(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "toy_heavy.py").write_text("import sqlite3\n")
    (tmp_path / "toy_foreign.py").write_text("import hypothesis\n")
    (tmp_path / "toy_slow.py").write_text("from time import process_time\nwhile process_time() < 0.5:\n    pass\n")
    (tmp_path / "toy_broken.py").write_text("1/0\n")
    for module, message in [("heavy", "sqlite3"), ("foreign", "hypothesis"), ("slow", "takes"), ("broken", "Zero")]:
        with pytest.raises(AssertionError, match=message):
            assert_light(f"toy_{module}")
