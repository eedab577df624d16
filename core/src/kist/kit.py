"""Tools of the core that plugin authors may use: atomic writes, copying in the kernel, safe paths, sizes and durations,
limited YAML, and ``replace`` for values of ``kist.abc`` and ``kist.model``.

These names are public and stay; the modules behind them are not.
"""

from __future__ import annotations

from kist.util.atomic import TEMP_MARK, storage_error, storage_errors, sync_directory, temp_name, write_all, write_file
from kist.util.copying import copy_rest, share_blocks
from kist.util.paths import check_path, check_paths, collisions, display, json_path, nearest
from kist.util.slotted import replace
from kist.util.units import parse_duration, parse_size, show_duration, show_size
from kist.util.yaml12 import YAMLError
from kist.util.yaml12 import dump as dump_yaml
from kist.util.yaml12 import load as load_yaml
from kist.util.yaml12 import parse as parse_yaml
from kist.util.yaml_edit import Document as YAMLDocument

__all__ = [
    "TEMP_MARK",
    "YAMLDocument",
    "YAMLError",
    "check_path",
    "check_paths",
    "collisions",
    "copy_rest",
    "display",
    "dump_yaml",
    "json_path",
    "load_yaml",
    "nearest",
    "parse_duration",
    "parse_size",
    "parse_yaml",
    "replace",
    "share_blocks",
    "show_duration",
    "show_size",
    "storage_error",
    "storage_errors",
    "sync_directory",
    "temp_name",
    "write_all",
    "write_file",
]
