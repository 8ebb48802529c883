"""Cards: what each registered thing says of itself."""

import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .datasets import dataset_names, load_dataset
from .errors import UserError
from .protocol import load_protocol, presets
from .published import published
from .registry import BACKBONES, MEASURES, MODELS, Registry, unknown
from .trained import newest, open_trained, shelf

REGISTRIES = {"models": MODELS, "backbones": BACKBONES, "measures": MEASURES}


def all_cards() -> dict[str, dict[str, str]]:
    """One line for everything there is, by kind and name; a plug-in that cannot be imported says why."""
    cards = {kind: {name: line(registry, name) for name in registry.names()} for kind, registry in REGISTRIES.items()}
    cards["metrics"] = {name: load_protocol(name).about for name in presets()}
    cards["data sets"] = {name: dataset_line(name) for name in dataset_names()}
    return {kind: cards[kind] for kind in ("models", "data sets", "metrics", "backbones", "measures")}


def line(registry: Registry, name: str) -> str:
    """The first line of a thing's documentation, or why it cannot be imported."""
    try:
        return first_line(inspect.getdoc(registry.load(name)) or "")
    except UserError as error:
        return first_line(str(error))


def checkpoints(model: str, needed: Collection[str]) -> list[str]:
    """Runs of a system that can be sampled, with all stages needed: those in `runs/`, and those that ship."""
    runs = sorted(run for place in (Path("runs"), shelf()) for run in place.glob(f"{model}/*"))
    return [str(open_trained(run, model)) for run in runs if all(newest(run, stage) for stage in needed)]


def dataset_line(name: str) -> str:
    """What a data set shows, or why its plug-in cannot be imported."""
    try:
        return load_dataset(name).about
    except UserError as error:
        return first_line(str(error))


def first_line(text: str) -> str:
    """The first line of a text."""
    return text.partition("\n")[0]


def find_card(name: str) -> dict[str, Any]:
    """The card of anything, by name.

    Raises:
        UserError: an unknown name, with the nearest known ones.
    """
    if name in dataset_names():
        card = load_dataset(name)
        printed = [
            f"{number.model} {number.metric}{number.frames} {number.value:g} ({number.protocol})"
            for number in published(card.title)
        ]
        facts = {"kind": "data set", **card.model_dump(mode="json", exclude_defaults=True), "backbone": card.backbone}
        return facts | ({"printed, under other protocols": printed} if printed else {})
    if name.partition("@")[0] in presets():
        protocol = load_protocol(name)
        return {"kind": "metric", **protocol.model_dump(mode="json"), "protocol hash": protocol.hash}
    for kind, registry in REGISTRIES.items():
        if name in registry.names():
            thing = registry.load(name)
            about = {"kind": kind[:-1], "name": name, "what": line(registry, name), **getattr(thing, "card", {})}
            facts = {key: getattr(thing, key) for key in ("version", "dim", "min_frames") if hasattr(thing, key)}
            at_hand = {"checkpoints": checkpoints(name, thing.needed)} if hasattr(thing, "stages") else {}
            return {**about, **facts, "origin": registry.describe_origin(name), **at_hand}
    known = [*dataset_names(), *presets(), *(name for registry in REGISTRIES.values() for name in registry.names())]
    raise unknown("model, data set, metric or backbone", name, known)
