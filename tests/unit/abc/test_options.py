"""Options as their authors may write them: frozen or not, with annotations as texts, classes or unions."""

from dataclasses import dataclass
from typing import Optional

import pytest

from kist.abc import Options, option
from kist.abc.options import declared_options
from kist.errors import InvalidOption, UnknownOption


@dataclass
class Plain(Options):
    """A dataclass that may be changed, with annotations that are classes."""

    mode: str = option("slow", help="how", choices=("slow", "fast"))
    depth: int = option(3, help="how deep")
    ratio: float = option(0.5, help="how much")
    check: bool = option(True, help="whether to look")
    most: int | None = option(None, help="how many")
    least: Optional[int] = option(None, help="how few")  # noqa: UP045 - as older code spells it


@dataclass(frozen=True, kw_only=True)
class Frozen(Options):
    """The same by annotations that are texts, as every one is after ``from __future__ import annotations``."""

    depth: "int" = option(3, help="how deep", env="BOX_DEPTH")  # noqa: RUF009
    check: "bool | None" = option(None, help="whether to look")  # noqa: RUF009
    token: "str" = option(help="a secret", secret=True)  # noqa: RUF009


def test_values_become_what_the_annotation_says():
    values = {"depth": "7", "ratio": "0.25", "check": "false", "most": "9", "least": "1"}
    made = Plain.from_mapping(values)
    assert made == Plain(depth=7, ratio=0.25, check=False, most=9, least=1)
    assert Plain.from_mapping({"most": None}).most is None


def test_annotations_that_are_texts_mean_the_same():
    made = Frozen.from_mapping({"check": "yes", "token": "hush"}, env={"BOX_DEPTH": "12"})
    assert (made.depth, made.check, made.token) == (12, True, "hush")
    assert "hush" not in repr(made)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Plain, {"depth": "deep"}),
        (Plain, {"check": "perhaps"}),
        (Plain, {"mode": "faster"}),
        (Plain, {"least": "few"}),
        (Frozen, {}),
    ],
)
def test_wrong_values_are_refused(kind, values):
    with pytest.raises(InvalidOption):
        kind.from_mapping(values)


def test_the_base_declares_nothing():
    assert declared_options(Options) == ()
    assert isinstance(Options.from_mapping({}), Options)
    with pytest.raises(UnknownOption, match="depth"):
        Options.from_mapping({"depth": 1})
