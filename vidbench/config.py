"""Configurations: YAML in, validated frozen values out; an unknown key is answered with the nearest known one."""

import dataclasses
import difflib
import reprlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import UserError


class Config(BaseModel):
    """The base of all configurations: frozen, unknown keys refused, every field documented under it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


T = TypeVar("T", bound=Config)
READ: dict[tuple[type[Config], str, str], Any] = {}
"""Configurations that ship, by what they are of, folder and name: reading YAML takes long, and nothing changes them."""
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls a key that a configuration, or a dataclass in it, does not have."""


def names(folder: str) -> list[str]:
    """Names of the configurations shipped in `configs/<folder>`, sorted."""
    root = Path(str(files("vidbench"))) / "configs" / folder
    return sorted(path.relative_to(root).as_posix().removesuffix(".yaml") for path in root.rglob("*.yaml"))


def shipped(kind: type[T], folder: str, name: str) -> T:
    """The configuration `configs/<folder>/<name>.yaml`, read once."""
    if (kind, folder, name) not in READ:
        text = files("vidbench").joinpath("configs", folder, f"{name}.yaml").read_text()
        READ[kind, folder, name] = parse(kind, text, f"configs/{folder}/{name}.yaml", name=name)
    found: T = READ[kind, folder, name]
    return found


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
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: the 31st of February
        raise UserError(f"{origin} is not YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{origin} must hold named keys and their values; it holds {text.strip()[:60]!r}.")
    return build(kind, {**defaults, **values}, origin)


def change(config: T, assignments: Iterable[str], origin: str = "--set") -> T:
    """The same configuration with some values changed (`key=value`, `part.key=value`, `list.0=value`; read as YAML)."""
    values = config.model_dump()
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f'{origin} takes key=value; "{assignment}" has no "=".')
        *path, last = key.split(".")
        holder: Any = values
        before = ""
        for part in path:
            place = place_in(holder, part, f"{origin} {assignment}: {before}")
            inner = holder.get(place) if isinstance(holder, dict) else holder[place]
            holder[place] = {} if inner is None else list(inner) if isinstance(inner, tuple) else inner
            holder, before = holder[place], part
        try:
            holder[place_in(holder, last, f"{origin} {assignment}: {before}")] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UserError(f'{origin} {assignment}: "{text}" is not a value in YAML.') from error
    return build(type(config), values, origin)


def place_in(holder: Any, part: str, where: str) -> Any:
    """The key of a dictionary, or the index of a list, that a part of a path means; `where` begins the refusal."""
    if isinstance(holder, dict):
        return part
    if isinstance(holder, list) and part.isdecimal() and int(part) < len(holder):
        return int(part)
    kind = f"a list of {len(holder)}, counted from 0" if isinstance(holder, list) else "a value"
    raise UserError(f"{where} is {kind}, and has no {part}.")


def build(kind: type[T], values: dict[str, Any], origin: str) -> T:
    """A validated configuration, or a `UserError` that names origin, key and what would do."""
    try:
        return kind(**values)
    except ValidationError as error:
        problem = min(error.errors(), key=lambda found: found["type"] not in UNKNOWN)
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in UNKNOWN:
            known = fields_of(kind, problem["loc"][:-1])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UserError(f'{origin}: unknown key "{key}".{hint} Known: {", ".join(known)}.') from error
        shown = "" if isinstance(problem["input"], dict) else f" = {reprlib.repr(problem['input'])}"
        where = f"{origin}: {key}{shown}" if key else origin
        raise UserError(f"{where}: {problem['msg'].removeprefix('Value error, ')}.") from error


def fields_of(kind: type, path: Sequence[int | str]) -> list[str]:
    """The keys of a configuration, or of the part of it at a path."""
    for part in path:
        known = annotations(kind)
        if str(part) in known:  # else a place in a list, or a key of a dictionary, of one kind of section
            kind = section_in(known[str(part)]) or type(None)
    return list(annotations(kind))


def annotations(kind: type) -> dict[str, Any]:
    """The types of the keys of a configuration or a dataclass; of anything else there is none."""
    if dataclasses.is_dataclass(kind):
        return {field.name: field.type for field in dataclasses.fields(kind)}
    return {name: field.annotation for name, field in getattr(kind, "model_fields", {}).items()}


def section_in(annotation: Any) -> type | None:
    """The configuration or dataclass that values of a type are or hold: of `Section | None`, `tuple[Section, ...]`."""
    if isinstance(annotation, type) and annotations(annotation):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)
