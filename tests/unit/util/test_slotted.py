import copy
import inspect
import pickle
from array import array
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pytest

from kist.util.slotted import field, replace, slotted


@slotted(frozen=True, order=True)
class Point:
    """A place.

    Args:
        x: from the left.
        y: from above.
    """

    x: int
    y: int = 2

    def sum(self):
        """Both together."""
        return self.x + self.y


@slotted()
class Basket:
    """What changes."""

    count: ClassVar[int] = 7

    owner: str
    size: int = field(default=1, kw_only=True)
    things: list[str] = field(default_factory=list)
    numbers: array = field(default_factory=lambda: array("Q"), init=False)
    mark: int = field(default=-1, init=False)
    secret: str = field(default="", repr=False)


@slotted(eq=False)
class Own:
    """Equal to itself only."""

    name: str


@slotted(frozen=True)
class Point3(Point):
    """With one field more."""

    z: int = 3


@slotted(frozen=True)
class Nothing:
    """No field at all."""


@slotted(frozen=True)
class Same:
    """Says itself what is equal, and how it looks."""

    name: str

    def __eq__(self, other):
        return self.name.lower() == other.name.lower()

    def __repr__(self):
        return "same"

    __hash__ = None


@dataclass(frozen=True)
class Options:
    """As plugins declare them."""


class Stats(NamedTuple):
    """Which have fields too."""

    size: int


def test_fields_are_given_by_place_and_by_name():
    assert [(one.x, one.y) for one in (Point(1), Point(1, 3), Point(y=4, x=1))] == [(1, 2), (1, 3), (1, 4)]
    assert Point(1).sum() == 3
    assert (Point.__doc__.partition("\n")[0], Point.__qualname__) == ("A place.", "Point")


@pytest.mark.parametrize("turn", [1, 2])
def test_wrong_fields_are_type_errors(turn):
    for values, named in [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})]:
        with pytest.raises(TypeError, match=r"Point\.__init__\(\)"):
            Point(*values, **named)
    for values, named in [(("me", 5, [], 1), {}), (("me",), {"mark": 1})]:
        with pytest.raises(TypeError):
            Basket(*values, **named)


def test_defaults_are_made_for_each():
    first, second = Basket("a"), Basket("b", ["x"], size=5)
    first.things.append("y")
    first.numbers.append(1)
    assert (first.things, Basket("c").things, second.things, second.size) == (["y"], [], ["x"], 5)
    assert (list(first.numbers), list(second.numbers), first.mark, first.size) == ([1], [], -1, 1)
    assert Basket.count == 7


def test_frozen_ones_stay_as_they_are():
    point = Point(1)
    for change in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x"), lambda: setattr(point, "new", 2)):
        with pytest.raises(AttributeError, match="frozen Point"):
            change()
    assert point == Point(1, 2)


def test_the_others_change_but_get_no_new_fields():
    basket = Basket("a")
    basket.owner = "b"
    with pytest.raises(AttributeError):
        basket.other = 1
    assert basket.owner == "b"
    assert not hasattr(basket, "__dict__")


def test_comparison():
    assert Point(1) == Point(1, 2) != Point(1, 3)
    assert Point(1) != Point3(1)
    assert Point(1) != (1, 2)
    assert hash(Point(1)) == hash(Point(1, 2))
    assert {Point(1): "a"}[Point(1)] == "a"
    assert sorted([Point(2), Point(1, 3), Point(1)]) == [Point(1), Point(1, 3), Point(2)]
    assert Point(1) <= Point(1) >= Point(1) < Point(2) > Point(1)
    assert Basket("a") == Basket("a") != Basket("b")
    with pytest.raises(TypeError):
        hash(Basket("a"))
    with pytest.raises(TypeError):
        Point(1) < Point3(1)  # noqa: B015
    assert Own("a") != Own("a")
    assert len({Own("a"), Own("a")}) == 2
    assert Nothing() == Nothing()
    assert Same("a") == Same("A")


def test_what_it_looks_like():
    assert repr(Point(1)) == "Point(x=1, y=2)"
    assert repr(Basket("a", secret="hush")) == "Basket(owner='a', size=1, things=[], numbers=array('Q'), mark=-1)"
    assert repr(Same("a")) == "same"
    assert str(inspect.signature(Point)) == "(x, y=2)"
    assert list(inspect.signature(Basket).parameters) == ["owner", "things", "secret", "size"]


def test_subclasses():
    assert Point3(1) == Point3(1, 2, 3)
    assert repr(Point3(1, z=4)) == "Point3(x=1, y=2, z=4)"

    class Child(Point):
        pass

    assert Child(5).x == 5


def test_plain_subclasses_have_what_they_want_besides():
    """As they could of a frozen dataclass."""

    class Named(Point):
        def __init__(self, name):
            super().__init__(1)
            self.name = name

    named = Named("a")
    assert (named.x, named.y, named.name) == (1, 2, "a")
    assert str(inspect.signature(Named)) == "(name)"
    del named.name
    assert not hasattr(named, "name")
    with pytest.raises(AttributeError, match="frozen Named"):
        named.x = 2


def test_what_can_be_called_tells_what_with():
    @slotted(frozen=True)
    class Adding:
        one: int

        def __call__(self, other):
            return self.one + other

    assert str(inspect.signature(Adding)) == "(one)"
    assert str(inspect.signature(Adding(1))) == "(other)"


def test_what_would_go_unnoticed_is_refused():
    with pytest.raises(TypeError, match=r"share the things of .*default_factory"):

        @slotted()
        class _Sharing:
            things: list[str] = []  # noqa: RUF012

    with pytest.raises(TypeError, match="never be called"):

        @slotted()
        class _Making:
            name: str

            def __init__(self, name):
                self.name = name + "!"

    with pytest.raises(TypeError, match="never be called"):

        @slotted()
        class _Checking:
            name: str

            def __post_init__(self):
                assert self.name


def test_replace():
    assert replace(Point(1, 5), x=4) == Point(4, 5)
    assert replace(Basket("a", ["x"]), owner="b").things == ["x"]
    with pytest.raises(TypeError):
        replace(Point(1), z=1)
    with pytest.raises(TypeError):
        replace(Basket("a"), mark=1)
    assert Point(1).__replace__(y=3) == Point(1, 3)  # what copy.replace calls
    for other in (Options(), Stats(1), 5):
        with pytest.raises(TypeError, match=r"no slotted class.*dataclasses\.replace"):
            replace(other)


@pytest.mark.parametrize("one", [Point(1, 5), Point3(1), Basket("a", ["x"]), Nothing()])
def test_copies_and_pickles(one):
    assert copy.copy(one) == one
    assert copy.deepcopy(one) == one
    assert all(pickle.loads(pickle.dumps(one, protocol)) == one for protocol in (2, pickle.HIGHEST_PROTOCOL))


def test_patterns():
    match Point(1, 5):
        case Point(1, y):
            assert y == 5
        case _:
            raise AssertionError
