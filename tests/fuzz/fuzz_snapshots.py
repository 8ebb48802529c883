"""Files of authors: of torch.save with networks and arguments, pickles of networks, arrays, and what is made up."""

import argparse
import io

import numpy as np
import torch
from hypothesis import strategies as st

from tests.fuzz.fuzz_driver import Target
from tests.fuzz.fuzz_files import numpy_headers
from tests.fuzz.fuzz_mutation import damaged
from tests.fuzz.fuzz_weights import instructions, zipped
from tests.weights.persisting import attributes, file, module, tensor
from vidbench.weights.snapshots import open_snapshot

MARKS = (b"PK\1\2", b"PK\3\4", b"_rebuild_tensor_v2", b"FloatStorage", b"Namespace", b"_modules", b"'shape': (")
NAMESPACE = b"cargparse\nNamespace\n)\x81"


def wholes() -> list[bytes]:
    """A small file of every form."""
    network = torch.nn.Linear(3, 2).state_dict()
    tree = {
        "g": network,
        "g_ema": network,
        "args": argparse.Namespace(lr=0.1, path="data"),
        "latent_avg": torch.ones(3),
    }
    files = []
    for modern in (True, False):
        content = io.BytesIO()
        torch.save(tree, content, _use_new_zipfile_serialization=modern)
        files.append(content.getvalue())
    array = io.BytesIO()
    np.save(array, np.eye(3))
    inner = attributes({"w": tensor(torch.ones(3))})
    return [*files, array.getvalue(), file({"G_ema": module(attributes({}, {"a": module(inner)}))})]


def target() -> Target:
    """The reader of `vidbench import`."""
    step = instructions() | st.just(NAMESPACE) | st.sampled_from([b"}", b"(", b"s", b"u", b"b"])
    made = st.lists(step, max_size=30).map(lambda steps: b"\x80\x02" + b"".join(steps) + b".")
    return Target(damaged(wholes(), MARKS) | made | made.map(zipped) | numpy_headers(), ".pt", open_snapshot)
