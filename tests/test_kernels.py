"""The kernels in Triton: refusals and imports anywhere, numbers in Triton's interpreter, the rest where a GPU is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cnnlib import ops_torch
from cnnlib.testing import relative_error

kernels = pytest.importorskip("cnnlib.kernels", reason="Triton is made for Linux", exc_type=ImportError)
ROOT = Path(__file__).parent.parent
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="Triton compiles for a GPU, and none is here")
LAYERS = {  # x, weight, options
    "3×3": ((4, 64, 28, 28), (96, 64, 3, 3), {"padding": 1}),
    "3×3, stride 2": ((4, 64, 28, 27), (96, 64, 3, 3), {"padding": 1, "stride": 2}),
    "1×1, stride 2": ((4, 256, 14, 14), (512, 256, 1, 1), {"stride": 2}),
    "few channels": ((3, 3, 37, 41), (10, 3, 5, 3), {"padding": ((1, 2), (0, 3)), "dilation": (2, 3)}),
    "groups": ((2, 48, 19, 19), (96, 12, 3, 3), {"groups": 4, "stride": (2, 3), "padding": "valid", "dilation": 2}),
    "depthwise": ((2, 40, 14, 14), (40, 1, 3, 3), {"groups": 40, "padding": "same"}),
}
ROUNDING = {  # of the operands, relative: half an ulp; TF32 may cut its eleventh bit off
    "bfloat16": torch.finfo(torch.bfloat16).eps / 2,
    "float16": torch.finfo(torch.float16).eps / 2,
    "float32": 2e-6,
    "tf32": 2**-10,
}


def python(*arguments, **environment):
    """Run Python beside this process, with these variables set and TRITON_INTERPRET unset unless it is among them."""
    kept = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**kept, **environment}, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_programs_are_right_in_the_interpreter():
    run = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels_interpreted.py", TRITON_INTERPRET="1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


@pytest.mark.parametrize("missing", ["triton", "torch"])
def test_without_triton_the_extra_is_named(missing):
    run = python("-c", f"import sys; sys.modules['{missing}'] = None; import cnnlib.kernels")
    assert 'ImportError: cnnlib.kernels needs torch and Triton: pip install "cnnlib[triton]"' in run.stderr


def test_triton_is_imported_for_the_kernels_alone():
    run = python("-c", "import sys, cnnlib, cnnlib.ops_numpy, cnnlib.ops_torch; sys.exit('triton' in sys.modules)")
    assert run.returncode == 0, run.stderr


def refusals():
    """Yield (keyword arguments of conv2d, the message they must meet)."""
    x, weight = torch.ones(2, 4, 5, 5), torch.ones(6, 4, 3, 3)
    yield {"x": x.double(), "weight": weight}, "x has dtype float64; expected bfloat16 or float16 or float32"
    yield {"x": x.int(), "weight": weight}, "x has dtype int32; expected bfloat16"
    yield {"x": x.numpy(), "weight": weight}, "x is a numpy.ndarray; expected a torch.Tensor"
    yield {"x": x[0], "weight": weight}, r"x has shape \(4, 5, 5\); expected 4 axes"
    yield {"x": x[:, :, :0], "weight": weight}, r"x has shape \(2, 4, 0, 5\); expected no axis but N to be empty"
    yield {"x": x, "weight": weight[0]}, r"weight has shape \(4, 3, 3\); expected 4 axes"
    yield {"x": x.half(), "weight": weight}, "weight has dtype float32; expected float16, that of x"
    yield {"x": x[:, :3], "weight": weight}, r"weight has shape \(6, 4, 3, 3\); expected 3 in its second axis"
    yield {"x": x, "weight": weight, "bias": torch.ones(5)}, r"bias has shape \(5,\); expected \(6,\)"
    yield {"x": x, "weight": weight, "bias": torch.ones(6).half()}, "bias has dtype float16; expected float32"
    yield {"x": x, "weight": weight, "groups": 3}, "groups is 3; expected a divisor of the 4 input and 6 output"
    yield {"x": x, "weight": weight, "dilation": 3}, r"kernel_size is 3 with dilation 3 \(spanning 7\)"
    yield {"x": x, "weight": weight, "stride": 0}, "stride is 0; expected an integer of at least 1"
    yield {"x": x, "weight": weight, "padding": "full"}, "padding is 'full'"
    yield {"x": x, "weight": weight}, "x is on cpu; expected cuda, where Triton compiles"
    vast = torch.ones(1, 4, 1, 1).expand(1, 4, 2**16, 2**15)
    yield {"x": vast, "weight": weight}, r"x has shape .* expected fewer than 2³⁰ pixels"


def test_bad_input_is_named():
    for arguments, message in refusals():
        with pytest.raises(ValueError, match=message):
            kernels.conv2d(**arguments)


def test_bad_input_of_the_backward_is_named():
    x, weight = torch.ones(2, 4, 5, 5), torch.ones(6, 4, 3, 3)
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 6, 5, 5\); expected \(2, 6, 3, 3\)"):
        kernels.conv2d_backward(torch.ones(2, 6, 5, 5), x, weight)
    with pytest.raises(ValueError, match="grad_output has dtype bfloat16; expected float32, that of x"):
        kernels.conv2d_backward(torch.ones(2, 6, 3, 3).bfloat16(), x, weight)


@pytest.mark.parametrize(("dtype", "precision"), [("bf16", "ieee"), ("fp16", "ieee"), ("fp32", "tf32")])
@pytest.mark.parametrize("name", ["correlate", "correlate_adjoint", "correlate_weight"])
def test_the_programs_compile_for_the_matrix_units(name, dtype, precision, tmp_path, monkeypatch):
    """Compiling needs no GPU: for compute capability 9.0, with its asynchronous products and in its shared memory."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton import compile as build
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from cnnlib.kernels import _programs, _tuning

    program = getattr(_programs, name)
    m, n, k, warps, stages = (128, 128, 64 if dtype != "fp32" else 32, 8, 3)
    constants = {"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, "PRECISION": precision, "STRIPE": 8, "HAS_BIAS": True}
    constants |= {"OUT_H": 56, "OUT_W": 56} if name == "correlate_weight" else {}
    pointers = dict.fromkeys(("x", "weight", "bias", "y", "grad_output", "grad_x"), f"*{dtype}") | {"partial": "*fp32"}
    kinds = {a: "constexpr" if a in constants else pointers.get(a, "i32") for a in program.arg_names}
    aligned = [k for k, a in enumerate(program.arg_names) if a in pointers or a in ("C", "C_OUT", "depth", "width")]
    source = ASTSource(
        program,
        kinds,
        {a: v for a, v in constants.items() if a in program.arg_names},
        {(k,): [["tt.divisibility", 16]] for k in aligned},
    )
    options = {"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True}
    built = build(source, target=GPUTarget("cuda", 90, 32), options=options)
    assert "wgmma.mma_async" in built.asm["ptx"]
    assert "cp.async" in built.asm["ptx"]
    assert built.metadata.shared <= _tuning.SHARED_BYTES


@pytest.mark.parametrize("size", [1, 3, 64, 512, 2048])
@pytest.mark.parametrize(
    ("dtype", "precision"), [(torch.bfloat16, "ieee"), (torch.float32, "tf32"), (torch.float32, "ieee")]
)
def test_tiles_are_tried_that_fit(size, dtype, precision):
    from cnnlib.kernels import _correlation, _tuning

    options = {"depth": size, "width": size, "PRECISION": precision}
    item = dtype.itemsize
    for program, sizes in (
        (_correlation.CORRELATE, {"BLOCK_N": "width", "BLOCK_K": "depth"}),
        (_correlation.WEIGHT, {"BLOCK_M": "depth", "BLOCK_N": "width"}),
    ):
        kept = _tuning.fitting(sizes, program.configs, {"x": torch.empty(0, dtype=dtype)}, **options)
        assert kept
        assert len(kept) <= len(_tuning.TILES)
        for config in kept:
            m, n, k = (config.kwargs[f"BLOCK_{axis}"] for axis in "MNK")
            assert (m + n) * k * item * config.num_stages <= _tuning.SHARED_BYTES
            assert k * item <= _tuning.LINE
            assert n <= max(64, 2 * size)
        if size >= 512 and precision != "ieee":
            assert (128, 256) in {(c.kwargs["BLOCK_M"], c.kwargs["BLOCK_N"]) for c in kept}


def on_gpu(layer, dtype):
    """Return x, weight, bias, grad_output and the options of a layer, random and on the GPU."""
    x_size, weight_size, options = LAYERS[layer]
    generator = torch.Generator("cuda").manual_seed(0)
    x, weight, bias = (
        torch.randn(size, generator=generator, device="cuda").to(dtype)
        for size in (x_size, weight_size, weight_size[:1])
    )
    size = ops_torch.conv2d(x.float(), weight.float(), **options).shape
    return x, weight, bias, torch.randn(size, generator=generator, device="cuda").to(dtype), options


@gpu
@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("layer", LAYERS)
def test_it_agrees_with_float64_on_a_gpu(layer, precision, monkeypatch):
    """Bounded by the sums of |terms|, each rounded as the precision rounds: twice, and the result once."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", precision == "tf32")
    dtype = torch.float32 if precision == "tf32" else getattr(torch, precision)
    x, weight, bias, grad_output, options = on_gpu(layer, dtype)
    ours = (kernels.conv2d(x, weight, bias, **options), *kernels.conv2d_backward(grad_output, x, weight, **options))
    wide = [v.double() for v in (x, weight, bias, grad_output)]
    exact, terms = (
        (ops_torch.conv2d(x, weight, bias, **options), *ops_torch.conv2d_backward(g, x, weight, **options))
        for x, weight, bias, g in (wide, [abs(v) for v in wide])
    )
    operands = 2 * ROUNDING[precision] if precision == "tf32" else 0  # half precision is exact until the end
    for actual, expected, magnitude in zip(ours, exact, terms, strict=True):
        assert actual.dtype == dtype
        allowed = ROUNDING[str(dtype).removeprefix("torch.")] * abs(expected) + (operands + 1e-5) * magnitude
        assert bool((abs(actual.double() - expected) <= allowed).all())


@gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("layer", LAYERS)
def test_two_calls_give_the_same_bits(layer, dtype):
    x, weight, bias, grad_output, options = on_gpu(layer, dtype)

    def once():
        return kernels.conv2d(x, weight, bias, **options), *kernels.conv2d_backward(grad_output, x, weight, **options)

    first = once()
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(first, once(), strict=True))


@gpu
def test_every_tile_computes_the_same(monkeypatch):
    """The tuner may choose any: each of them is held to torch."""
    from cnnlib.kernels import _correlation

    x, weight, _, grad_output, options = on_gpu("3×3, stride 2", torch.bfloat16)
    expected = F.conv2d(x, weight, **options)
    programs = (_correlation.CORRELATE, _correlation.ADJOINT, _correlation.WEIGHT)
    wanted = ops_torch.conv2d_backward(grad_output, x, weight, **options)[:2]
    for config in _correlation.CORRELATE.configs:
        for program in programs:
            monkeypatch.setattr(program, "configs", [config])
        assert relative_error(kernels.conv2d(x, weight, **options).float(), expected.float()) < 1e-2
        for ours, theirs in zip(kernels.conv2d_backward(grad_output, x, weight, **options), wanted, strict=False):
            assert relative_error(ours.float(), theirs.float()) < 1e-2
