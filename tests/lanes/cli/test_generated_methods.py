"""Byte code of generated methods: the same classes with it as without, whatever is in the file."""

import collections
import dataclasses
import importlib.util
import sys
from typing import NamedTuple

import pytest

from lanes.cli import generated_methods
from lanes.cli.generated_methods import GeneratedMethods


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "cache" / "methods.codes"


@pytest.fixture
def compiled(monkeypatch):
    """The texts that are compiled, while a test lasts."""
    texts = []

    def counting(text, *args, **kwargs):
        texts.append(text)
        return compile(text, *args, **kwargs)

    monkeypatch.setattr(generated_methods, "compile", counting, raising=False)
    return texts


def classes():
    """A frozen, ordered dataclass with defaults, one with keywords only, and two kinds of named tuple."""

    @dataclasses.dataclass(frozen=True, order=True)
    class Point:
        x: int
        y: tuple[int, ...] = dataclasses.field(default_factory=tuple)

    @dataclasses.dataclass(kw_only=True)
    class Named:
        name: str = "a"

        def __post_init__(self):
            self.name = self.name.upper()

    class Pair(NamedTuple):
        left: int
        right: int = 2

    return Point, Named, Pair, collections.namedtuple("Triple", "a b c", defaults=(3,))


def behaviour():
    """What the classes do."""
    point, named, pair, triple = classes()
    one, other = point(1, (2,)), point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'") as error:
        point()
    return [
        repr([one, other, named(name="b"), pair(1), triple(1, 2)]),
        (one == point(1, (2,)), one == other, other < one, hash(one) == hash(point(1, (2,))), hash(pair(1))),
        (point.__init__.__qualname__, point.__init__.__code__.co_filename, point.__init__.__annotations__),
        (pair.__new__.__defaults__, pair._fields, triple(1, 2)._replace(a=0)),
        str(error.value),
    ]


def test_classes_are_the_same_with_kept_byte_code_which_nobody_compiles_again(kept, compiled):
    expected = behaviour()
    with GeneratedMethods(kept):
        assert behaviour() == expected
    first = len(compiled)
    assert first >= 4
    with GeneratedMethods(kept):
        assert behaviour() == expected
    assert len(compiled) == first


def test_only_new_texts_are_written_beside_those_that_were_there(kept, compiled):
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("One", ["first"])
    before = kept.stat().st_mtime_ns, kept.stat().st_ino
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("One", ["first"])
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == before
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("Two", ["second"])
    compiled.clear()
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("One", ["first"])
        dataclasses.make_dataclass("Two", ["second"])
    assert not compiled
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_of_too_many_texts_those_of_the_last_command_are_kept(kept, compiled, monkeypatch):
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("One", ["first"])
    monkeypatch.setattr(generated_methods, "MOST", len(compiled))
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("Two", ["second"])
    compiled.clear()
    with GeneratedMethods(kept):
        dataclasses.make_dataclass("Two", ["second"])
        assert not compiled
        dataclasses.make_dataclass("One", ["first"])
        assert compiled


def _flipped(whole):
    at = len(whole) // 2
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda whole: whole[:-1],
        _flipped,
        lambda whole: b"\0" * len(importlib.util.MAGIC_NUMBER) + whole[4:],
    ],
    ids=["empty", "torn", "a flipped bit", "of another interpreter"],
)
def test_a_damaged_file_is_not_read_but_replaced(kept, compiled, damage):
    expected = behaviour()
    with GeneratedMethods(kept):
        behaviour()
    kept.write_bytes(damage(kept.read_bytes()))
    compiled.clear()
    with GeneratedMethods(kept):
        assert behaviour() == expected
    assert compiled
    compiled.clear()
    with GeneratedMethods(kept):
        assert behaviour() == expected
    assert not compiled


@pytest.mark.parametrize("place", ["below a file", "a folder"])
def test_where_nothing_can_be_written_all_goes_on(tmp_path, monkeypatch, place):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder" / "within").mkdir(parents=True)
    expected = behaviour()
    with GeneratedMethods(tmp_path / ("file/methods.codes" if place == "below a file" else "folder")):
        assert behaviour() == expected
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "within"]
    assert (tmp_path / "file").read_text() == "text"


def test_nothing_is_written_where_python_writes_no_byte_code(kept, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with GeneratedMethods(kept):
        classes()
    assert not kept.parent.exists()


def test_after_the_block_python_compiles_as_before(kept, compiled):
    with pytest.raises(ZeroDivisionError), GeneratedMethods(kept):
        raise ZeroDivisionError
    classes()
    assert not compiled
    assert "exec" not in vars(dataclasses)
    assert "eval" not in vars(collections)
