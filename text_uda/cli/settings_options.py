"""Options from the fields of a dataclass: name, type, range, default, help; the field is the only declaration."""

import functools
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import click

from text_uda.cli.declarations import DeclaredField, declared_class
from text_uda.cli.grouped_help import option
from text_uda.cli.parameter_types import FILE
from text_uda.ranges import Range, range_of

Verb = Callable[..., Any]
DefaultWords = Callable[[DeclaredField], "str | None"]


def default_of(field: DeclaredField) -> str | None:
    """What `--help` shows as the default: the value, or the rule that None stands for."""
    if field.default in (None, ()):
        return field.rule
    if isinstance(field.default, bool):
        return None
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def declared_options(
    declaration: tuple[str, str],
    *,
    under: str,
    into: type | None = None,
    group: str,
    groups: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
    names: Mapping[str, str] | None = None,
    types: Mapping[str, Any] | None = None,
    metavars: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    default_words: DefaultWords = default_of,
    required: Collection[str] = (),
) -> Callable[[Verb], Verb]:
    """A decorator that gives a verb an option for each field of a dataclass, and hands the values over as one argument.

    Args:
        declaration: module and name of the dataclass, whose source is read.
        under: name of the argument.
        into: the argument is an instance of this class; None: a dict of the values that the user gave.
        group: heading of the options in `--help`.
        groups: field -> another heading.
        leave_out: fields that are not options.
        names: field -> an option that is not named after it.
        types: field -> a type that the annotation does not express.
        metavars: field -> the value's name in `--help`.
        defaults: field -> a default that the field does not have.
        default_words: what `--help` shows as the default.
        required: fields that have to be given.
    """
    fields = [field for field in declared_class(*declaration).fields.values() if field.name not in leave_out]
    options = [
        option(
            *((names or {}).get(field.name) or f"--{field.name.replace('_', '-')}").split("/"),
            field.name,
            group=(groups or {}).get(field.name, group),
            help=field.summary,
            default_words=functools.partial(default_words, field),
            required=field.name in required,
            **_default(field, into, defaults or {}),
            **_kind(field, (types or {}).get(field.name), (metavars or {}).get(field.name)),
        )
        for field in fields
    ]

    def decorate(function: Verb) -> Verb:
        @functools.wraps(function)
        def with_options(**values: Any) -> Any:
            of_fields = {field.name: values.pop(field.name) for field in fields}
            if into is None:
                handed_over = {name: value for name, value in of_fields.items() if value not in (None, ())}
            else:
                handed_over = into(**of_fields, **{name: values.pop(name) for name in leave_out if name in values})
            return function(**values, **{under: handed_over})

        decorated: Verb = with_options
        for add in reversed(options):
            decorated = add(decorated)
        return decorated

    return decorate


def _default(field: DeclaredField, into: type | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    default = defaults.get(field.name, None if into is None else field.default)
    return {} if default in (None, ()) else {"default": default}


def _kind(field: DeclaredField, overriding_type: Any, metavar: str | None) -> dict[str, Any]:
    """The arguments of click.option that follow from the annotation."""
    parts = _parts(field.annotation)
    if bool in parts:
        return {"is_flag": True, "default": None}  # None: not given
    multiple = {"multiple": True} if all(typing.get_origin(part) is tuple for part in parts) else {}
    if multiple:
        parts = [inner for part in parts for inner in _parts(typing.get_args(part)[0])]
    words = [word for part in parts if typing.get_origin(part) is Literal for word in typing.get_args(part)]
    if overriding_type is not None:
        kind: Any = overriding_type
    elif words:
        kind = click.Choice(words)
    else:
        kind = _with_range(parts[0], range_of(field.annotation))
    if metavar is None and not isinstance(kind, click.Choice):
        metavar = {int: "N", float: "X", Path: "FILE"}.get(parts[0], "TEXT")
    return {"type": kind, "metavar": metavar, **multiple}


def _parts(annotation: Any) -> list[Any]:
    """The members of a union without None and without the metadata of Annotated."""
    if hasattr(annotation, "__metadata__"):
        return _parts(annotation.__origin__)
    if typing.get_origin(annotation) in (typing.Union, type(int | None)):
        return [part for member in typing.get_args(annotation) for part in _parts(member) if part is not NoneType]
    return [annotation]


def _with_range(kind: Any, allowed: Range | None) -> Any:
    if kind is Path:
        return FILE
    if allowed is None:
        return kind if kind in (int, float) else str
    smallest = allowed.least if allowed.above is None else allowed.above
    largest = allowed.most if allowed.below is None else allowed.below
    limits: dict[str, Any] = {"min_open": allowed.above is not None, "max_open": allowed.below is not None}
    if kind is int:
        return click.IntRange(smallest, largest, **limits)  # pyright: ignore[reportArgumentType]
    return click.FloatRange(smallest, largest, **limits)
