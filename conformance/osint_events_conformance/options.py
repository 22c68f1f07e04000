"""The settings as click options, made from the settings themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic.fields import FieldInfo

from osint_events_conformance.settings import Settings, flag

Command = Callable[..., None]


def settings_options(names: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Give a command `--config` and a flag for each of the settings (all by default) but the URL."""

    def decorate(command: Command) -> Command:
        for name, field in reversed(Settings.model_fields.items()):
            if name != "url" and (names is None or name in names):
                command = _option(name, field)(command)
        return click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="TOML file with a table [tool.osint-events.conformance]; flags win over it.",
        )(command)

    return decorate


def given(context: click.Context, url: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """The settings that stand on the command line."""
    said = {
        name: value
        for name, value in values.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    return said if url is None else {**said, "url": url}


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    default = "" if field.default in {None, (), False} else f"  [default: {field.default}]"
    shown = f"{field.description}{default}"
    return click.option(flag(name), name, help=shown, default=None, **_kind(field.annotation))


def _kind(annotation: Any) -> dict[str, Any]:
    """How click reads the values; pydantic judges them."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    if annotation is bool:
        return {"is_flag": True}
    if get_origin(annotation) is Literal:
        return {"type": click.Choice(get_args(annotation))}
    if get_origin(annotation) is tuple:
        return {"type": str, "multiple": True}
    if get_origin(annotation) is Annotated:
        return _kind(kinds[0])
    if kinds:
        return _kind(kinds[0])
    return {"type": click.Path(path_type=Path) if annotation is Path else annotation}
