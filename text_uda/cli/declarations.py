"""The fields of settings and the lists of choices, read from the source: `--help` need not wait for torch."""

import ast
import builtins
import re
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, Union

from text_uda.lazy_imports import imported_names, parsed

_PROJECT = ("text_uda", "translation_cache")
_LIGHT = ("text_uda.ranges",)  # modules of the project that are imported: they load nothing


@dataclass(frozen=True)
class DeclaredField:
    """A field of a dataclass."""

    name: str
    annotation: Any
    """Literals, ranges and unions as at run time; `Any` for a class of this project."""

    default: Any
    """None where the field has no default, or a named constant."""

    docstring: str

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return _sentences(self.docstring)[0]

    @property
    def rule(self) -> str | None:
        """What None stands for: the sentence of the docstring that begins with "None:"."""
        rules = (sentence for sentence in _sentences(self.docstring) if sentence.startswith("None: "))
        return next((rule.removeprefix("None: ").removesuffix(".") for rule in rules), None)


@dataclass(frozen=True)
class DeclaredClass:
    fields: Mapping[str, DeclaredField]
    methods: frozenset[str]


def _sentences(docstring: str) -> list[str]:
    return re.split(r"(?<=[.?]) (?=[A-Z\"(`])", " ".join(docstring.split()))


@cache
def declared_class(module: str, name: str) -> DeclaredClass:
    """The fields and methods of a class, with the ones that it inherits from classes of this project."""
    module, name, statement = _definition(module, name)
    assert isinstance(statement, ast.ClassDef), f"{module}.{name} is not a class"
    fields: dict[str, DeclaredField] = {}
    methods: set[str] = set()
    for base in statement.bases:
        if isinstance(base, ast.Name) and (home := _home(module, base.id)) is not None:
            inherited = declared_class(*home)
            fields |= inherited.fields
            methods |= inherited.methods
    for line, following in zip(statement.body, [*statement.body[1:], None], strict=True):
        if isinstance(line, ast.FunctionDef):
            methods.add(line.name)
        elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            if ast.unparse(line.annotation).startswith("ClassVar"):
                continue
            docstring = following.value if isinstance(following, ast.Expr) else None
            fields[line.target.id] = DeclaredField(
                name=line.target.id,
                annotation=_evaluated(module, line.annotation),
                default=_default(module, line.value),
                docstring=docstring.value if isinstance(docstring, ast.Constant) else "",  # pyright: ignore[reportArgumentType]
            )
    return DeclaredClass(fields, frozenset(methods))


def choices(module: str, name: str) -> tuple[str, ...]:
    """The words of a list of the library: a Literal or a tuple."""
    module, name, statement = _definition(module, name)
    assert isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
    match statement.value:
        case ast.Tuple():
            return ast.literal_eval(statement.value)
        case annotation:
            return typing.get_args(_evaluated(module, annotation))


def calls(module: str, name: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Of a dict of instances, such as the presets: key -> class -> the settings given to it."""
    _, _, statement = _definition(module, name)
    assert isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict)
    return {
        ast.literal_eval(key): {
            call.func.id: {word.arg: _literal(word.value) for word in call.keywords if word.arg is not None}
            for call in ast.walk(value)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        }
        for key, value in zip(statement.value.keys, statement.value.values, strict=True)
        if key is not None
    }


def _statements(module: str) -> list[ast.stmt]:
    """The top of a module, with what stands below `if TYPE_CHECKING:`."""
    body = parsed(module).body
    return [*body, *(line for statement in body if isinstance(statement, ast.If) for line in statement.body)]


def _definition(module: str, name: str) -> tuple[str, str, ast.stmt]:
    """Where a name is defined, through imports: (module, name there, the class or the assignment)."""
    for statement in _statements(module):
        match statement:
            case ast.ClassDef(name=defined) if defined == name:
                return module, name, statement
            case ast.Assign(targets=[ast.Name(id=defined)]) | ast.AnnAssign(target=ast.Name(id=defined)):
                if defined == name:
                    return module, name, statement
            case _:
                pass
    return _definition(*imported_names(_statements(module))[name])


def _home(module: str, name: str) -> tuple[str, str] | None:
    """Where a name of a module is defined, or None for one from outside of the project."""
    home = imported_names(_statements(module)).get(name, (module, name))
    return home if home[0].split(".")[0] in _PROJECT else None


def _default(module: str, value: ast.expr | None) -> Any:
    """The default of a field: a literal; None for a named constant, which the docstring of the field describes.

    Raises:
        TypeError: it is an expression, so the command line cannot know it.
    """
    try:
        return None if value is None or isinstance(value, ast.Name) else ast.literal_eval(value)
    except ValueError as error:
        raise TypeError(f"{module}: the default {value and ast.unparse(value)} is not a literal") from error


def _literal(value: ast.expr | None) -> Any:
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return None


def _evaluated(module: str, annotation: ast.expr) -> Any:
    """An annotation as at run time; `Any` for a class of this project, which is not imported."""
    match annotation:
        case ast.Constant(value=str(text)):
            return _evaluated(module, ast.parse(text, mode="eval").body)
        case ast.Constant(value=value):
            return value
        case ast.BinOp(left=left, right=right):
            return Union[_evaluated(module, left), _evaluated(module, right)]  # noqa: UP007  made at run time
        case ast.Subscript(value=ast.Name(id="Literal"), slice=words):
            words = words.elts if isinstance(words, ast.Tuple) else [words]
            return Literal[tuple(ast.literal_eval(word) for word in words)]  # pyright: ignore[reportInvalidTypeForm]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[element, *_])):
            return tuple[_evaluated(module, element), ...]
        case ast.Name(id=name) if hasattr(builtins, name):
            return getattr(builtins, name)
        case ast.Name(id=name):
            return _named(module, name)
        case _:
            return Any


def _named(module: str, name: str) -> Any:
    home, name = imported_names(_statements(module)).get(name, (module, name))
    top = home.split(".")[0]
    if home in _LIGHT or top in sys.stdlib_module_names:
        return getattr(import_module(home), name)
    if top not in _PROJECT:  # torch, for one: `--help` must not load it
        return Any
    home, _, statement = _definition(home, name)
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        return _evaluated(home, statement.value)
    return Any
