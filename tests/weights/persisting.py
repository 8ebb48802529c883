"""Persistence pickles made by hand, an instruction at a time, so that no class they name need exist."""

import struct
from collections.abc import Mapping
from typing import Any

import torch

from tests.weights.making import Numbers, pickled

POISON = "raise RuntimeError('the text of a module was run')"
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"


class Code(bytes):
    """Instructions that leave one value behind."""


def code(value: Any) -> Code:
    """The instructions for a value."""
    if isinstance(value, Code):
        return value
    if value is None or isinstance(value, bool):
        return Code({None: b"N", True: b"\x88", False: b"\x89"}[value])
    if isinstance(value, int):
        return Code(b"J" + struct.pack("<i", value))
    if isinstance(value, float):
        return Code(b"G" + struct.pack(">d", value))
    if isinstance(value, str):
        return Code(b"X" + struct.pack("<I", len(value.encode())) + value.encode())
    if isinstance(value, bytes):
        return Code(b"B" + struct.pack("<I", len(value)) + value)
    if isinstance(value, Mapping):
        return Code(b"}(" + b"".join(code(key) + code(item) for key, item in value.items()) + b"u")
    start, end = {tuple: (b"(", b"t"), list: (b"](", b"e"), set: (b"\x8f(", b"\x90")}[type(value)]
    return Code(start + b"".join(map(code, value)) + end)


def name(text: str) -> Code:
    """A global: `module.name`."""
    module, _, last = text.rpartition(".")
    return Code(f"c{module}\n{last}\n".encode())


def call(text: str, *arguments: Any) -> Code:
    """A call of a global."""
    return Code(name(text) + code(arguments) + b"R")


def made(text: str, state: Any) -> Code:
    """An object of a class, and its attributes."""
    return Code(name(text) + b")\x81" + code(state) + b"b")


def storage(numbers: torch.Tensor, count: int | None = None) -> Code:
    """A float32 storage as a file within the file; `count` is what it says of its length."""
    count = numbers.numel() if count is None else count
    header = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + pickled(1001) + pickled({"little_endian": True})
    content = header + pickled(Numbers("7", count)) + pickled(["7"]) + struct.pack("<q", count)
    return call("torch.storage._load_from_bytes", content + numbers.float().numpy().tobytes())


def tensor(values: torch.Tensor, count: int | None = None) -> Code:
    """A float32 parameter."""
    values = values.contiguous()
    view = (storage(values, count), 0, tuple(values.shape), values.stride(), False, {})
    return call("torch._utils._rebuild_parameter", call("torch._utils._rebuild_tensor_v2", *view), True, {})


def attributes(parameters: Any = {}, modules: Any = {}, **others: Any) -> dict[str, Any]:  # noqa: B006
    """The attributes that every module has, and others."""
    return {
        "training": False,
        "_parameters": parameters,
        "_buffers": {},
        "_modules": modules,
        "_non_persistent_buffers_set": set(),
        "_init_args": (),
        "_init_kwargs": {},
        **others,
    }


def module(state: Any, prefix: str = "src.", **changes: Any) -> Code:
    """A persistent module; `changes` are to what describes it."""
    meta = {"type": "class", "version": 6, "module_src": POISON, "class_name": "Layer", "state": state}
    return call(prefix + PERSISTENT, meta | changes)


def file(value: Any) -> bytes:
    """A whole pickle."""
    return b"\x80\x04" + code(value) + b"."
