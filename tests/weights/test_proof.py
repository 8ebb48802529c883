"""Checksums say which network some tensors are, however they came."""

import time
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.weights.making import table_of, tensorflow_layout, unit_scales
from vidbench.weights import prove
from vidbench.weights.names import Table
from vidbench.weights.proof import checksum, crc32c, masked

Tensors = Mapping[str, torch.Tensor]


def crc32c_bit_by_bit(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_checksum_of_the_nine_digits_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert masked(0xE3069283) == 0xC78AB0E5


@pytest.mark.parametrize(
    ("content", "crc"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (b"", 0)],
)
def test_the_checksums_of_the_internet_standard_are_met(content: bytes, crc: int) -> None:
    """RFC 3720, B.4."""
    assert crc32c(content) == crc


@given(st.binary(max_size=600))
def test_the_checksum_equals_the_one_by_bits(content: bytes) -> None:
    assert crc32c(content) == crc32c_bit_by_bit(content)


def test_fifty_megabytes_take_seconds() -> None:
    content = np.random.default_rng(0).bytes(50_000_000)
    began = time.monotonic()
    crc32c(content)
    assert time.monotonic() - began < 10


def test_a_kernel_is_summed_in_the_layout_of_tensorflow() -> None:
    kernel = torch.rand(4, 3, 2, 5, 6)
    stored = tensorflow_layout(kernel, hub=True)
    assert stored.shape == (2, 5, 6, 3, 4)
    assert checksum(kernel) == masked(crc32c_bit_by_bit(stored.numpy().astype("<f4").tobytes()))
    assert checksum(kernel[0, 0, 0, 0]) == masked(crc32c_bit_by_bit(kernel[0, 0, 0, 0].numpy().tobytes()))


def test_the_fvd_weights_are_proven(network: Tensors) -> None:
    weights = unit_scales(network)
    proof = prove(weights, table_of(weights))
    assert proof.network == "i3d"
    assert proof.verdict == "these are the FVD weights (230 of 230 variables)"


def test_rgb_imagenet_is_told_apart(small: Tensors) -> None:
    proof = prove(small, table_of({name: tensor + 1 for name, tensor in small.items()}, imagenet=small))
    assert proof.network == "i3d-imagenet"
    assert proof.verdict == "these are rgb_imagenet, another network: backbone i3d-imagenet"


def test_other_weights_are_neither(network: Tensors) -> None:
    proof = prove(network)
    assert proof.network is None
    assert proof.verdict == "neither: 0 of 230 agree"


def test_one_changed_bit_is_enough(small: Tensors, small_table: Table) -> None:
    changed = {name: tensor.clone() for name, tensor in small.items()}
    changed["logits.conv3d.bias"].view(torch.int32)[2] ^= 1
    proof = prove(changed, small_table)
    assert (proof.network, proof.agree, proof.total) == (None, 5, 6)
    assert proof.verdict == "neither: 5 of 6 agree"


def test_scales_that_no_checksum_covers_must_be_one(small: Tensors, small_table: Table) -> None:
    scaled = {name: tensor * 1.5 if name.endswith(".bn.weight") else tensor for name, tensor in small.items()}
    proof = prove(scaled, small_table)
    assert proof.network is None
    assert proof.verdict == "neither: 6 of 6 agree, but batch norm has scales other than 1"
