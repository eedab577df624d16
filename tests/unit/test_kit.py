"""The tools for authors of plugins are those of kist.util, loaded when they are used."""

import subprocess
import sys

import pytest

from kist import kit
from kist.util import atomic, paths, yaml12


def test_every_name_is_there():
    for name in kit.__all__:
        assert getattr(kit, name) is not None
    assert kit.write_file is atomic.write_file
    assert kit.check_path is paths.check_path
    assert kit.load_yaml is yaml12.load
    with pytest.raises(AttributeError):
        kit.rm_rf  # noqa: B018


def test_yaml_is_loaded_by_its_users_only():
    code = "import sys; from kist.kit import write_file; print('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
