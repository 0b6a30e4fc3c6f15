"""Names that a package imports when they are first used, and the list of them: the imports that type checkers read.

A package lists its names once, below `if TYPE_CHECKING:`. Type checkers take these lines as they are; here only their
source is read, so no module is loaded before one of its names is used.
"""

import ast
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from typing import Any


@cache
def parsed(module: str) -> ast.Module:
    """The source of a module of this project, parsed; the module is not imported."""
    spec = find_spec(module)
    source = None if spec is None or not isinstance(spec.loader, InspectLoader) else spec.loader.get_source(module)
    if source is None:
        raise ImportError(
            f"the source of {module} is missing: text_uda reads its lists from it, so install it with its .py files"
        )
    return ast.parse(source)


def imported_names(statements: Iterable[ast.stmt]) -> dict[str, tuple[str, str]]:
    """name -> (module, original name) of each `from module import ...`; a star stands for all imports of the module."""
    names: dict[str, tuple[str, str]] = {}
    for statement in statements:
        if not isinstance(statement, ast.ImportFrom) or statement.module is None:
            continue
        for alias in statement.names:
            if alias.name == "*":
                names |= imported_names(parsed(statement.module).body)
            else:
                names[alias.asname or alias.name] = (statement.module, alias.name)
    return names


def classes_by_file(module: str) -> dict[str, tuple[str, str]]:
    """The classes that `module` imports, by the names of their files as the command line writes them: back-translation.

    Returns:
        name -> (module, class), in the order of the imports.
    """
    imports = imported_names(parsed(module).body)
    homes = [home for home, _ in imports.values()]
    assert len(set(homes)) == len(homes), f"{module} lists two classes of one file"
    return {home.rpartition(".")[2].replace("_", "-"): (home, name) for home, name in imports.values()}


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, from its imports below `if TYPE_CHECKING:`."""
    homes: dict[str, tuple[str, str]] = {}
    for statement in parsed(package).body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            homes |= imported_names(statement.body)
    assert homes, f"{package} lists its names below `if TYPE_CHECKING:`"
    namespace = vars(sys.modules[package])

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original_name = homes[name]
        namespace[name] = getattr(import_module(module), original_name)
        return namespace[name]

    def names() -> list[str]:
        return sorted({*namespace, *homes})

    return get, names, sorted(homes, key=lambda name: (not name.isupper(), name))
