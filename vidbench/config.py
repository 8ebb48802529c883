"""Configurations: YAML in, validated frozen values out; an unknown key is answered with the nearest known one."""

import difflib
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import UserError


class Config(BaseModel):
    """The base of all configurations: frozen, unknown keys refused, every field documented under it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


T = TypeVar("T", bound=Config)


def names(folder: str) -> list[str]:
    """Names of the configurations shipped in `configs/<folder>`, sorted."""
    root = Path(str(files("vidbench"))) / "configs" / folder
    return sorted(path.relative_to(root).as_posix().removesuffix(".yaml") for path in root.rglob("*.yaml"))


def shipped(kind: type[T], folder: str, name: str) -> T:
    """The configuration `configs/<folder>/<name>.yaml`."""
    text = files("vidbench").joinpath("configs", folder, f"{name}.yaml").read_text()
    return parse(kind, text, f"configs/{folder}/{name}.yaml", name=name)


def load(kind: type[T], path: Path) -> T:
    """A configuration from a user's file; its name is the file's.

    Raises:
        UserError: the file cannot be read, is not YAML, or has a wrong key or value.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The configuration {path} cannot be read ({error}).") from error
    return parse(kind, text, str(path), name=path.stem)


def parse(kind: type[T], text: str, origin: str, **defaults: Any) -> T:
    """A configuration from YAML text; `origin` names it in messages."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{origin} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{origin} must hold named keys and their values; it holds {text.strip()[:60]!r}.")
    return build(kind, {**defaults, **values}, origin)


def change(config: T, assignments: Iterable[str], origin: str = "--set") -> T:
    """The same configuration with some values changed (`key=value`, the value read as YAML)."""
    values = config.model_dump()
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f'{origin} takes key=value; "{assignment}" has no "=".')
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f'{origin} {assignment}: "{text}" is not a value in YAML.') from error
    return build(type(config), values, origin)


def build(kind: type[T], values: dict[str, Any], origin: str) -> T:
    """A validated configuration, or a `UserError` that names origin, key and what would do."""
    try:
        return kind(**values)
    except ValidationError as error:
        problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, list(kind.model_fields), n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(f'{origin}: unknown key "{key}".{hint} Known: {", ".join(kind.model_fields)}.') from error
        raise UserError(f"{origin}: {key} = {problem['input']!r}: {problem['msg']}.") from error
