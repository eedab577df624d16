"""What distributions require of the core is compared with the core that is there."""

import pytest

from kist.plugins.requirements import unmet


@pytest.fixture
def require(site):
    """Install a distribution that requires something."""

    def install(*lines):
        info = site.install("kist-toy", {"hashers": {"toy": "toy"}})
        with (info / "METADATA").open("a") as file:
            file.writelines(f"Requires-Dist: {line}\n" for line in lines)

    return install


@pytest.mark.parametrize(
    ("clauses", "met", "others"),
    [
        (">=2", ["2", "2.0", "2.1", "10.0"], ["1.9", "0.1.0", "1"]),
        (">=0.1,<2", ["0.1", "0.1.0", "1.99.3"], ["0.0.9", "2", "2.0.0"]),
        (">1.2", ["1.2.1", "1.10"], ["1.2", "1.2.0", "1.1"]),
        ("<=1.2", ["1.2.0", "1.1.9"], ["1.2.1", "1.10"]),
        ("==1.2", ["1.2", "1.2.0"], ["1.2.1", "1.20"]),
        ("==1.*", ["1", "1.0", "1.9.9"], ["10.0", "2.1"]),
        ("!=1.2,>=1", ["1.1", "1.2.1"], ["1.2", "1.2.0", "0.9"]),
        ("!=1.2.*", ["1.1", "1.20"], ["1.2", "1.2.7"]),
        ("~=1.2", ["1.2", "1.2.5", "1.9"], ["1.1", "2.0"]),
        ("~=1.2.3", ["1.2.3", "1.2.9"], ["1.2.2", "1.3"]),
        (" (>= 1, < 2)", ["1.5"], ["2.0"]),
        ("[fsspec] >=1 , <2", ["1.5"], ["2.0"]),
        ("", ["0", "99"], []),
    ],
)
def test_versions_are_compared(require, clauses, met, others):
    require("other>=99", f"kist-core{clauses}")
    assert [one for one in met if unmet("kist-toy", one)] == []
    assert [one for one in others if not unmet("kist-toy", one)] == []


@pytest.mark.parametrize(
    "line",
    [
        "kist-core>=2.0rc1",
        "kist-core===99",
        "kist-core @ https://example.org/kist_core.whl",
        "kist-core>=99; extra == 'test'",
        "kist-core>=99; python_version < '3'",
        "kist-core>=99; sys_platform == 'plan9'",
        "kist-core-more>=99",
        "my-kist-core>=99",
    ],
)
def test_what_cannot_be_compared_is_taken_to_be_met(require, line):
    require(line)
    assert unmet("kist-toy", "1.0") is None


def test_what_is_quoted(require):
    require("kist_core[fsspec] (>=2, <3) ; python_version >= '3'")
    assert unmet("kist-toy", "1.0") == "kist_core[fsspec]>=2,<3"


def test_an_installed_version_that_is_no_release(require):
    require("kist-core>=2")
    assert unmet("kist-toy", "1.0.dev3") is None


def test_a_distribution_that_is_not_there():
    assert unmet("kist-nowhere") is None
