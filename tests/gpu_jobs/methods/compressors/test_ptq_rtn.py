"""Rounding to nearest: the errors, levels and bytes that the formats promise, and torchao's codes where it has them."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from gpu_jobs.engine.compressed.coded import Coded
from gpu_jobs.engine.compressed.coding import BITS, FLOATS, TABLES, Coding, decode, encode, pack, step, table, unpack

GRANULARITIES = ("tensor", "channel", "group")
SHAPE = (24, 40)  # groups of 16 don't divide 40
CODINGS = [Coding(name, grain, 16) for name, grain in product(BITS, GRANULARITIES)]
CODINGS += [Coding(name, grain, 16, symmetric=False) for name, grain in product(("int8", "int4"), GRANULARITIES)]
each = pytest.mark.parametrize("how", CODINGS, ids=lambda how: "-".join(map(str, how)))


def weight(seed: int = 0, shape: tuple[int, int] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.05


def rounded(value: torch.Tensor, how: Coding) -> torch.Tensor:
    return decode(encode(value, how), how, (value.shape[0], value.shape[1]))


def spread(values: torch.Tensor, how: Coding) -> torch.Tensor:
    """One value of each group for each weight."""
    if how.granularity == "tensor":
        return values.expand(SHAPE)
    size = SHAPE[1] if how.granularity == "channel" else how.group
    return values.repeat_interleave(size, 1)[:, : SHAPE[1]]


@each
def test_an_error_is_at_most_half_a_step(how: Coding) -> None:
    value = weight()
    found = encode(value, how)
    error = (decode(found, how, SHAPE) - value).abs()
    assert (error <= spread(step(found, how), how) / 2 * (1 + 1e-5)).all()
    assert error.max() > 0


@each
def test_what_is_rounded_stays_as_it_is(how: Coding) -> None:
    once = rounded(weight(), how)
    torch.testing.assert_close(rounded(once, how), once, rtol=1e-5, atol=0)


@each
def test_codes_do_not_hang_on_the_scale(how: Coding) -> None:
    value = weight()
    assert torch.equal(encode(value, how).codes, encode(value * 8, how).codes)
    assert torch.equal(rounded(value, how) * 8, rounded(value * 8, how))


@each
def test_there_are_no_more_levels_than_the_format_has(how: Coding) -> None:
    codes = encode(weight(shape=(24, 4096)), how).codes
    levels = {"int8": 255, "int4": 15}.get(how.format, len(TABLES.get(how.format, range(256))))
    levels += how.format.startswith("int") and not how.symmetric
    found = len(set(codes.flatten().tolist()))
    assert found <= levels
    if how.format in ("int4", "ternary", "nf4"):
        assert found == levels


@each
def test_bits_per_parameter_count_codes_scales_and_zeros(how: Coding) -> None:
    layer = Coded.of(weight(), how, None, is_transposed=False)
    groups = {"tensor": 1, "channel": 24, "group": 24 * 3}[how.granularity]
    values = 24 * 48 if how.granularity == "group" else 24 * 40  # the last group of a row is filled up
    zeros = groups if how.format.startswith("int") and not how.symmetric else 0
    assert layer.stored_bytes() == values * how.bits // 8 + 4 * groups + zeros


@each
@pytest.mark.parametrize("transposed", [False, True])
def test_a_layer_computes_with_the_rounded_weight(how: Coding, transposed: bool) -> None:
    value, x = weight(), weight(1, (3, 40))
    layer = Coded.of(value, how, torch.arange(24.0), is_transposed=transposed)
    torch.testing.assert_close(layer(x), x @ rounded(value, how).T + torch.arange(24.0))
    again = Coded.empty(layer.describe())
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer(x))


def test_zeros_stay_zeros() -> None:
    for how in CODINGS:
        assert not rounded(torch.zeros(SHAPE), how).any()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_the_nearest_of_its_values(name: str) -> None:
    value = weight()
    found = encode(value, how := Coding(name))
    scaled = value / found.scales
    distances = (scaled[..., None] - table(name)).abs()
    assert torch.equal(found.codes.view(SHAPE).long(), distances.argmin(-1))
    assert how.bits == BITS[name]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_is_packed_can_be_unpacked(bits: int) -> None:
    codes = (torch.arange(45).view(5, 9) % 2**bits).to(torch.uint8)
    assert torch.equal(unpack(pack(codes, bits), bits, codes.shape), codes)
    assert pack(codes, bits).numel() == -(-45 * bits // 8)


@pytest.mark.parametrize(("bits", "symmetric"), [(8, False), (4, False), (8, True), (4, True)])
@pytest.mark.parametrize("grain", GRANULARITIES)
def test_integers_are_those_of_torchao(bits: int, symmetric: bool, grain: str) -> None:
    pytest.importorskip("torchao", reason="the reference library is not installed")
    from torchao.quantization.quant_primitives import (
        MappingType,
        choose_qparams_affine,
        dequantize_affine,
        quantize_affine,
    )

    value, top = weight(shape=(24, 48)), 2**bits - 1
    block = {"tensor": (24, 48), "channel": (1, 48), "group": (1, 16)}[grain]
    # Symmetric ones keep torchao's scale from an asymmetric range of codes when both ends are alike.
    low, high = (-(top // 2), top // 2) if symmetric else (0, top)
    kind = MappingType.SYMMETRIC if symmetric else MappingType.ASYMMETRIC
    dtype = torch.int8 if symmetric else torch.uint8
    scale, zero = choose_qparams_affine(value, kind, block, dtype, low, high, 1e-9, torch.float32, torch.int32)
    codes = quantize_affine(value, block, scale, zero, dtype, low, high)
    theirs = dequantize_affine(codes, block, scale, zero, dtype, low, high, output_dtype=torch.float32)
    ours = rounded(value, Coding(f"int{bits}", grain, 16, symmetric=symmetric))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", FLOATS)
def test_floats_are_those_of_torchao(name: str) -> None:
    pytest.importorskip("torchao", reason="the reference library is not installed")
    from torchao.quantization.quant_primitives import _choose_scale_float8, _dequantize_affine_float8
    from torchao.quantization.quant_primitives import _quantize_affine_float8 as quantize

    value, kind = weight(), FLOATS[name]
    scale = _choose_scale_float8(value, block_size=(1, 40), float8_dtype=kind)
    codes = quantize(value, scale, kind)
    theirs = _dequantize_affine_float8(codes, scale, torch.float32)
    torch.testing.assert_close(rounded(value, Coding(name)), theirs, rtol=1e-5, atol=0)


def test_the_levels_of_nf4_are_those_of_torchao() -> None:
    """It keeps four digits of a level, and rounds the scales, here all 1, to 8 bits."""
    pytest.importorskip("torchao", reason="the reference library is not installed")
    from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import NF4Tensor

    value = table("nf4").repeat(64, 4)
    held = NF4Tensor.from_tensor(value, block_size=64, scaler_block_size=64)
    torch.testing.assert_close(held.nf4, table("nf4"), rtol=0, atol=5e-5)
    ours = rounded(value, Coding("nf4", "group", 64))
    torch.testing.assert_close(held.get_original_weight(), ours, rtol=0, atol=1e-2)
    assert torch.equal(ours, value)
