"""What `from text_uda import ...` gives."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import text_uda

ROOT = Path(__file__).parents[1]


def test_public_names() -> None:
    assert text_uda.__all__ == sorted(text_uda.__all__, key=lambda name: (not name.isupper(), name))
    assert set(text_uda.__all__) <= set(dir(text_uda))
    for name in text_uda.__all__:
        value = getattr(text_uda, name)
        assert name == "PRESETS" or (callable(value) and value.__name__ == name)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'text_uda' has no attribute 'tarin'"):
        text_uda.tarin  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("before", ["import text_uda.{0}", "from text_uda import {0}"])
def test_function_wins_over_its_module(before: str) -> None:
    """In a fresh interpreter, since what was imported first is the point."""
    code = "import text_uda\n"
    for name in ("paraphrase", "pretrain", "train", "evaluate"):
        code += (
            f"{before.format(name)}\n"
            f"from text_uda import {name} as first\n"
            f"import text_uda.{name}\n"
            f"from text_uda import {name} as second\n"
            f"from text_uda.{name} import {name} as inside\n"
            f"assert callable(first) and first is second is inside is text_uda.{name}\n"
        )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["paraphrase", "pretrain", "train", "evaluate"])
def test_module_can_be_had_too(name: str) -> None:
    assert isinstance(import_module(f"text_uda.{name}"), ModuleType)
