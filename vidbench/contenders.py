"""Who is scored: the user's videos and models, and the reference generators beside them."""

import importlib.util
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from . import config
from .datasets import DEFAULT, load_dataset
from .draws import draw_seed
from .errors import UserError
from .evaluator import Evaluator
from .generator import Generator
from .protocol import ClipProtocol, load_protocol
from .registry import MODELS
from .sides import Track, commonest
from .sources import Source, open_source
from .sources.arrays import ARRAYS
from .sources.names import ending
from .stage import System
from .tables import GIVEN_REAL
from .trained import choose_trained, no_weights, open_trained

MIN_TO_HALVE = 20  # videos below which a folder without splits is not divided into two halves
HELD_OUT = ("test", "val")
FLAGS = {"size": "--size", "split": "--split", "clips": "--clips", "seed": "--seed", "name": "a file of your own"}


@dataclass(frozen=True)
class Request:
    """What the user asks to be scored, as on the command line."""

    metrics: Sequence[str] = ("fvd16",)
    """Presets, or paths of YAML files."""
    models: Sequence[str] = ()
    """Registered names, or `file.py:Class`."""
    fake: Sequence[str] = ()
    """Paths of generated videos."""
    real: str | None = None
    """Path of real videos; None: those of `data`."""
    data: str | None = None
    """A data set's name; None: the default one."""
    split: str | None = None
    """Split of the real set."""
    key: str | None = None
    """Array of an HDF5 or npz file."""
    value_range: tuple[float, float] | None = None
    """What floating-point arrays are scaled from."""
    kind: Literal["videos", "images"] | None = None
    """What to read where a folder holds both."""
    references: bool = True
    """Whether the reference generators are scored too."""
    changes: Sequence[str] = ()
    """`key=value` changes of the protocol."""
    checkpoint: Path | None = None
    """Of a trained system: a run's folder or a file; None: the newest run on the data set, else the one that ships."""
    out: Path = Path("runs")
    """Where records go, in a folder `records`; and where runs are looked for."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the `Evaluator`."""
    opened: dict[Any, Source] = field(default_factory=dict)
    """What has been opened already."""


@dataclass
class Contender:
    """Something to be scored under one evaluator."""

    name: str
    evaluator: Evaluator
    side: Generator | Source
    floor_of: str | None = None
    """Of `real` on one half of a set without splits: the whole set's fingerprint."""


def contenders(request: Request, metric: str, track: Track, say: Callable[[str], None]) -> list[Contender]:
    """Everything that is to be scored under one metric, the user's own first."""
    fakes = [open_path(request, path, None, request.options.get("size")) for path in request.fake]
    registered = importable_models(say) if request.references or not (request.models or fakes) else []
    stored = [open_trained(request.checkpoint).model] if request.checkpoint else []
    models = request.models or stored or ([] if fakes else registered)
    own = own_generators(request, [name for name in models if not is_reference(name)], say)
    options: dict[str, Any] = {"track": track, **request.options}
    options["size"] = options.get("size") or common_size(fakes, list(own.values()))
    evaluator = build_evaluator(request, metric, options)
    names = request.fake if len({fake.name for fake in fakes}) < len(fakes) else [fake.name for fake in fakes]
    found = [Contender(name, evaluator, fake) for name, fake in zip(names, fakes, strict=True)]
    for name, generator in own.items():
        found.append(Contender(name, evaluator, generator))
        if request.references and isinstance(generator, System):
            found += later_stages(name, generator, evaluator)
    references = [name for name in registered if is_reference(name)] if request.references else []
    references += [name for name in request.models if is_reference(name) and name not in references]
    return found + reference_contenders(request, references, evaluator, options, say)


def later_stages(name: str, system: System, evaluator: Evaluator) -> list[Contender]:
    """Stages of a system that go on from the real side's own videos, as LongVideoGAN's authors score them."""
    if evaluator.real is None:
        return []
    parts = system.on_real(evaluator.real.resized(system.size), evaluator.protocol.span)
    return [Contender(f"{name}-{part}{GIVEN_REAL}", evaluator, generator) for part, generator in parts.items()]


def own_generators(request: Request, names: Sequence[str], say: Callable[[str], None]) -> dict[str, Generator]:
    """The generators to be scored, by name; trained systems that were not asked for by name only if there are weights.

    Raises:
        UserError: there are no weights of a system that was asked for, or one cannot be made.
    """
    found: dict[str, Generator] = {}
    data = Path(request.real).name if request.real else request.data or DEFAULT
    for asked in names:
        name, options = split_options(asked)
        if not is_trained(name):
            if request.checkpoint is not None:
                raise UserError(f"{name} is not a trained system of vidbench, and has no --checkpoint. Leave it away.")
            found[name.rpartition(":")[2] + asked.removeprefix(name)] = build_model(name, **options)
            continue
        trained = choose_trained(name, request.checkpoint, data, request.out)
        if trained is None and asked in request.models:
            raise no_weights(name, data)
        if trained is not None:
            say(f"{asked}: {', '.join(map(str, trained.paths))}")
            found[asked] = trained.generator(request.options.get("device", "cpu"), **options)
    return found


def split_options(model: str) -> tuple[str, dict[str, Any]]:
    """A model's name and its options, as in `video-ldm[decoder=false,steps=25]`.

    Raises:
        UserError: what stands in the brackets is no list of `key=value`.
    """
    name, bracket, rest = model.partition("[")
    if not bracket:
        return model, {}
    if not rest.endswith("]"):
        raise UserError(f'--model {model}: options end with "]", as in {name}[key=value,key=value].')
    return name, parse(rest.removesuffix("]").split(","), f"--model {name}[...]")


def parse(options: Iterable[str], origin: str = "--set") -> dict[str, Any]:
    """`key=value` pairs, the values read as YAML.

    Raises:
        UserError: one is no pair.
    """
    values = {}
    for option in options:
        key, equals, text = option.strip().partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f'{origin} takes key=value; "{option}" is none.')
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f'{origin} {option}: "{text}" is not a value in YAML.') from error
    return values


def common_size(fakes: Sequence[Source], models: Sequence[Generator]) -> tuple[int, int] | None:
    """The commonest size of what the user brings; None where she brings nothing."""
    sizes = Counter([commonest(fake, "size") for fake in fakes] + [model.size for model in models])
    return sizes.most_common(1)[0][0] if sizes else None


def build_evaluator(request: Request, metric: str, options: dict[str, Any]) -> Evaluator:
    """The evaluator of one metric; what is not said is as the data set's card says."""
    protocol = changed(load_protocol(metric), request.changes)
    taken = options.get("real_stats")
    if request.real is None and request.data is None and taken is not None and taken.exists():
        return Evaluator(protocol, None, **options)
    card = load_dataset(request.data or DEFAULT) if request.real is None else None
    if card is not None:
        own = None if "@" in metric else card.clips.get(metric)
        options["clips"] = options.get("clips") or own
        options["backbone"] = options.get("backbone") or card.backbone
    return Evaluator(protocol, open_real(request, request.split, options["size"]), **options)


def changed(protocol: ClipProtocol, changes: Sequence[str]) -> ClipProtocol:
    """A protocol with some values changed, and a name that says so."""
    if not changes:
        return protocol
    for key in (change.partition("=")[0] for change in changes):
        if key in FLAGS:
            raise UserError(f"--set {key}: use {FLAGS[key]} for that.")
    base, at, clips = protocol.name.partition("@")
    return config.change(protocol, [*changes, f"name={'+'.join([base, *changes])}{at}{clips}"])


def reference_contenders(
    request: Request, names: Sequence[str], evaluator: Evaluator, options: dict[str, Any], say: Callable[[str], None]
) -> list[Contender]:
    """The reference generators, on real videos that the score does not use where there are such."""
    real = evaluator.real
    if not names:
        return []
    if real is None:
        say("The reference generators are left out: they stand on real videos, and there are only their statistics.")
        return []
    held_out, floor = hold_out(request, real, evaluator.size)
    size = evaluator.size or commonest(real, "size")
    found = []
    for name in names:
        judge = evaluator
        if name == "real" and held_out is None:
            say(
                f"real is left out: {real.name} has no other split, and {len(real.videos)} videos are too few to halve."
            )
            continue
        if name == "real" and floor is not real:
            say(f"real is one half of {real.name} against the other, so that no video is on both sides.")
            judge = Evaluator(
                evaluator.protocol, floor, **{**options, "backbone": evaluator.backbone_name, "real_stats": None}
            )
        generator = MODELS.load(name)((held_out or real).resized(size), evaluator.protocol.span)
        found.append(Contender(name, judge, generator, None if judge is evaluator else real.fingerprint))
    return found


def hold_out(request: Request, real: Source, size: tuple[int, int] | None) -> tuple[Source | None, Source]:
    """Real videos for the reference generators, and the real side for `real` among them.

    That is the held-out split and the whole real side; of a set without splits one half, by a hash of each video's
    key, and the other; of fewer than 20 videos nothing.
    """
    others = [split for split in HELD_OUT if split in real.splits and split != real.split]
    others += [split for split in real.splits if split not in (*HELD_OUT, real.split)]
    if others:
        return open_real(request, others[0], size), real
    if len(real.videos) < MIN_TO_HALVE:
        return None, real
    return real.subset(lambda video: half(video.key) == 1, "half"), real.subset(
        lambda video: half(video.key) == 0, "other half"
    )


def half(key: str) -> int:
    """Which half, 0 or 1, of its set a video is in."""
    return draw_seed(0, f"half/{key}") % 2


def open_real(request: Request, split: str | None, size: tuple[int, int] | None) -> Source:
    """The real side as it was asked for."""
    if request.real is None:
        return load_dataset(request.data or DEFAULT).source(split, size)
    return open_path(request, request.real, split, size)


def open_path(request: Request, path: str, split: str | None, size: tuple[int, int] | None) -> Source:
    """The videos at a path, opened once a request; what is said of arrays holds for arrays."""
    asked = (path, split, size)
    if asked not in request.opened:
        if ending(Path(path).name) in ARRAYS:
            opened = open_source(path, split=split, key=request.key, value_range=request.value_range)
        else:
            opened = open_source(path, split=split, size=size, kind=request.kind)
        request.opened[asked] = opened
    return request.opened[asked]


def importable_models(say: Callable[[str], None]) -> list[str]:
    """Names of the registered models; one that cannot be imported is left out, and said."""
    names = []
    for name in MODELS.names():
        try:
            MODELS.load(name)
        except UserError as error:
            say(f"{name} is left out: {error}")
        else:
            names.append(name)
    return names


def load_model(name: str) -> Any:
    """A model's class: a registered one, or `path/to/file.py:Class`; options behind it are left away.

    Raises:
        UserError: an unknown name, or a file or class that is not there or cannot be imported.
    """
    name, _ = split_options(name)
    path, colon, attribute = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        return MODELS.load(name)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UserError(f"--model {name}: there is no file {path}.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"--model {name}: {path} cannot be imported ({type(error).__name__}: {error}).") from error
    if not hasattr(module, attribute):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise UserError(f"--model {name}: {path} has no {attribute}. It has {', '.join(classes) or 'no class'}.")
    return getattr(module, attribute)


def is_reference(name: str) -> bool:
    """Whether a model is one of the reference generators."""
    return bool(getattr(load_model(name), "is_reference", False))


def is_trained(name: str) -> bool:
    """Whether a model is a system that is trained in stages."""
    return hasattr(load_model(name), "stages")


def build_model(name: str, **options: Any) -> Generator:
    """A generator, made without arguments but the options given.

    Raises:
        UserError: it cannot be made, or is none.
    """
    try:
        generator = load_model(name)(**options)
    except UserError:
        raise
    except Exception as error:
        given = f"of {options}" if options else "without arguments"
        raise UserError(f"--model {name} cannot be made {given} ({type(error).__name__}: {error}).") from error
    missing = [part for part in ("sample", "size", "fps", "max_frames") if not hasattr(generator, part)]
    if missing:
        raise UserError(
            f"--model {name} is no generator: it has no {', '.join(missing)}. Derive it from vidbench.Generator."
        )
    return generator  # type: ignore[no-any-return]
