"""What `from text_uda import ...` gives."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import text_uda
import translation_cache

ROOT = Path(__file__).parents[1]


def test_public_names() -> None:
    assert text_uda.__all__ == sorted(text_uda.__all__, key=lambda name: (not name.isupper(), name))
    assert set(text_uda.__all__) <= set(dir(text_uda))
    for name in text_uda.__all__:
        value = getattr(text_uda, name)
        assert name == "PRESETS" or (callable(value) and value.__name__ == name)


@pytest.mark.parametrize(
    ("package", "list_module"),
    [
        ("text_uda", "text_uda.public_names"),
        ("text_uda.augment", "text_uda.augment.all_augmentations"),
        ("text_uda.objectives", "text_uda.objectives.all_objectives"),
    ],
)
def test_a_list_can_be_imported_and_gives_the_same_objects(package: str, list_module: str) -> None:
    names = [name for name in vars(import_module(list_module)) if not name.startswith("_") and name != "jaxtyping"]
    assert len(names) > 10
    for name in names:
        assert getattr(import_module(package), name) is getattr(import_module(list_module), name)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'text_uda' has no attribute 'tarin'"):
        text_uda.tarin  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("package", [text_uda, translation_cache])
def test_no_public_name_is_a_module(package: ModuleType) -> None:
    """The import of a submodule sets it as an attribute of its package, over a function of that name."""
    modules = {path.stem for path in (ROOT / package.__name__).iterdir()}
    assert not modules & set(package.__all__)
