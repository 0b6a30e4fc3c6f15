"""Options are read from the source of the settings; what cannot be read is refused, never left out in silence."""

from pathlib import Path
from typing import Any, Literal

import pytest

from text_uda import lazy_imports
from text_uda.augment import METHODS
from text_uda.cli import declarations
from text_uda.lazy_imports import classes_by_file


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Write a module `text_uda.made_up`, and read a class of it."""

    def write(source: str) -> Any:
        import ast

        monkeypatch.setattr(declarations, "parsed", lambda _module: ast.parse(source))
        declarations.declared_class.cache_clear()
        return declarations.declared_class("text_uda.made_up", "Settings").fields["value"]

    yield write
    declarations.declared_class.cache_clear()


def test_a_default_that_is_an_expression_is_refused(written):
    with pytest.raises(TypeError, match=r"text_uda.made_up: the default 1 << 16 is not a literal"):
        written("class Settings:\n    value: int = 1 << 16")


def test_an_alias_with_an_annotation_is_followed(written):
    field = written('Words: TypeAlias = Literal["a", "b"]\nclass Settings:\n    value: Words = "a"')
    assert field.annotation == Literal["a", "b"] and field.default == "a"


def test_a_class_of_another_package_is_not_imported(written):
    assert written("from no_such_package import Tensor\nclass Settings:\n    value: Tensor").annotation is Any


def test_two_classes_of_one_file_have_no_name(monkeypatch: pytest.MonkeyPatch):
    import ast

    monkeypatch.setattr(lazy_imports, "parsed", lambda _module: ast.parse("from a.b import C\nfrom a.b import D"))
    with pytest.raises(AssertionError, match="two classes of one file"):
        classes_by_file("a.all")


def test_an_augmentation_is_called_as_its_rows_are():
    """Its file names it on the command line; its settings name it in the cache."""
    for name, kind in METHODS.items():
        assert getattr(kind, "method", name) == name
    for name in ("synonym", "insertion", "swap", "deletion", "eda", "aeda", "typos"):
        assert METHODS[name]().settings()["method"] == name
