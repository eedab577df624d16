"""The names that plugins may import are there, from the package that the documentation names."""

import kist.abc
import kist.model


def test_every_public_name_can_be_had():
    for package in (kist.abc, kist.model):
        for name in package.__all__:
            assert getattr(package, name) is not None
            assert name in dir(package)
        assert set(package.__all__) == set(package._HOMES)


def test_what_contracts_speak_of_is_public():
    from kist.abc import OTHER, STAT_FIELDS, SUBDIRECTORY, GetNodes, PutNode
    from kist.model import Columns, Finding, Metafile, StatusSection

    assert (STAT_FIELDS, chr(OTHER), chr(SUBDIRECTORY)) == (4, "o", "s")
    assert all((GetNodes, PutNode, Columns, Finding, Metafile, StatusSection))
