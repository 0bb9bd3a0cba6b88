"""The tests can fail: each classic mistake, put into the library's source, makes a named test fail."""

from __future__ import annotations

import numpy as np
import pytest
import test_activation
import test_attention
import test_conv
import test_conv_ranks
import test_dropout
import test_fast_norm
import test_fast_pool
import test_local
import test_local_norm
import test_loss
import test_norm
import test_pool
import test_pool_family
import test_unfold
import test_upsample
from backends import BACKENDS
from mutants import comparison_errors, mutant

NUMPY, TORCH = BACKENDS

# name: (module, the line, the mistake, the test that must fail, its arguments)
MUTANTS = {
    "flip the kernel": (
        "ops_numpy._correlation",
        "windows, filters = patches(x, geometry), ",
        "windows, filters = patches(x, geometry)[..., ::-1, ::-1], ",
        (test_conv.test_worked_examples, NUMPY, "conv2d"),
    ),
    "flip the kernel in torch": (
        "ops_torch._correlation",
        "y = conv(padded, weight,",
        "y = conv(padded, weight.flip(2, 3),",
        (test_conv.test_worked_examples, TORCH, "conv2d"),
    ),
    "transpose the kernel": (
        "ops_numpy._correlation",
        "np.matmul(filters, _columns(",
        "np.matmul(weight.swapaxes(2, 3).reshape(filters.shape), _columns(",
        (test_conv.test_worked_examples, NUMPY, "conv2d"),
    ),
    "transpose the kernel in the plain loops": (
        "ops_numpy.conv",
        "weight[f, c, u, v]",
        "weight[f, c, v % kh, u % kw]",
        (test_conv.test_worked_examples, NUMPY, "conv2d_naive"),
    ),
    "shift the padding by one": (
        "ops_numpy._windows",
        "pads = [(start, end) for (start, _), end in",
        "pads = [(start + 1, end - 1) if end else (start, end) for (start, _), end in",
        (test_conv.test_padding_goes_where_it_is_asked, NUMPY),
    ),
    "shift the padding by one in torch": (
        "ops_torch._correlation",
        "for pair in reversed(padding) for amount in pair]",
        "for pair in reversed(padding) for amount in reversed(pair)]",
        (test_conv.test_padding_goes_where_it_is_asked, TORCH),
    ),
    "swap the axes of the padding": (
        "ops_torch._correlation",
        "for pair in reversed(padding)",
        "for pair in padding",
        (test_conv.test_padding_goes_where_it_is_asked, TORCH),
    ),
    "forget the images of an earlier slice of the batch": (
        "ops_numpy._correlation",
        "grad_weight += products",
        "grad_weight[...] = products",
        (test_conv_ranks.test_a_large_batch_is_taken_a_few_images_at_a_time,),
    ),
    "put the odd zero of same padding first": (
        "geometry",
        "(total // 2, total - total // 2)",
        "(total - total // 2, total // 2)",
        (test_conv_ranks.test_same_lower_takes_pairs, TORCH),
    ),
    "overwrite where columns overlap": (
        "ops_numpy._windows",
        "[(slice(None), slice(None), *landing)] += columns",
        "[(slice(None), slice(None), *landing)] = columns",
        (test_unfold.test_fold_counts_the_windows_over_each_pixel, NUMPY),
    ),
    "share the weights of a local connection": (
        "ops_numpy.local",
        "inputs @ _filters(weight, groups).swapaxes(3, 4)",
        "inputs @ _filters(weight, groups).swapaxes(3, 4)[:1, :1]",
        (test_local.test_every_position_has_its_own_filter, NUMPY),
    ),
    "share the weights of a local connection in torch": (
        "ops_torch.local",
        "maps[pixels], filters[tap]",
        "maps[pixels], filters[tap][:1, :1].expand(filters.shape[:-2])",
        (test_local.test_every_position_has_its_own_filter, TORCH),
    ),
    "split a pooling tie": (
        "ops_numpy.max_pool",
        "np.add.at(grad_x, _places(indices, input_size), grad_output.ravel())",
        "[np.add.at(grad_x, (_places(indices, input_size) + k) % 9, grad_output.ravel() / 2) for k in (0, 1)]",
        (test_pool.test_the_first_maximum_wins_a_tie, NUMPY),
    ),
    "let the last maximum win": (
        "ops_numpy.max_pool",
        "(value > y)",
        "(value >= y)",
        (test_pool.test_the_first_maximum_wins_a_tie, NUMPY),
    ),
    "overwrite where windows overlap": (
        "ops_numpy.max_pool",
        "np.add.at(grad_x, _places(indices, input_size), grad_output.ravel())",
        "grad_x[_places(indices, input_size)] = grad_output.ravel()",
        (test_pool.test_the_first_maximum_wins_a_tie, NUMPY),
    ),
    "drop the batch sum of the weights": (
        "ops_numpy._correlation",
        "products.sum(axis=0)",
        "products[0]",
        (test_conv.test_gradients_are_those_of_finite_differences, {}),
    ),
    "average the batch instead of summing it": (
        "ops_numpy._correlation",
        "products.sum(axis=0)",
        "products.mean(axis=0)",
        (test_conv.test_gradients_are_those_of_finite_differences, {}),
    ),
    "forget the stride of the upstream gradient": (
        "ops_torch._correlation",
        "stride=geometry.dilation,\n        dilation=geometry.stride,",
        "stride=geometry.dilation,\n        dilation=1,",
        (test_conv.test_gradcheck_passes, {"stride": 2, "padding": 1}),
    ),
    "flip the kernel in the gradient of the input": (
        "ops_torch._correlation",
        "full = transpose(grad_output, weight,",
        "full = transpose(grad_output, weight.flip(2, 3),",
        (test_conv.test_gradcheck_passes, {}),
    ),
    "count the padding in a mean": (
        "geometry",
        "low, high = (-before, size + after) if count_include_pad else (0, size)",
        "low, high = (-before, size + after)",
        (test_pool.test_the_mean_at_the_border, NUMPY),
    ),
    "forget the pixels of infinity that tie with the padding": (
        "ops_numpy.max_pool",
        "better |= indices < 0",
        "better |= False",
        (test_pool.test_padding_never_wins, NUMPY, 1),
    ),
    "cut adaptive windows short": (
        "checks.pool",
        "-((i + 1) * -s // n)",
        "(i + 1) * s // n",
        (test_pool_family.test_adaptive_windows_overlap_where_they_do_not_divide, TORCH),
    ),
    "blur once too often": (
        "ops_numpy.blur_pool",
        "for _ in range(kernel[1] - 1):",
        "for _ in range(kernel[1]):",
        (test_pool_family.test_a_blur_is_pascals_triangle_and_mirrors_the_border, NUMPY),
    ),
    "let the first of two values stay": (
        "ops_torch.max_pool",
        '"amax"',
        '"amin", include_self=False',
        (test_pool_family.test_the_last_of_two_values_stays, TORCH),
    ),
    "align the corners of edges": (
        "ops_numpy.upsample",
        "(positions + 0.5) * dtype.type(ratio) - 0.5",
        "positions * dtype.type(ratio)",
        (test_upsample.test_edges_or_corners_are_aligned, NUMPY),
    ),
    "measure both axes of the output by one stride": (
        "geometry",
        "size = strides[i] * (sizes[i] - 1)",
        "size = strides[0] * (sizes[i] - 1)",
        (test_conv.test_the_axes_of_a_transposed_convolution_are_kept_apart, TORCH),
    ),
    "measure both axes of the output by one output_padding": (
        "geometry",
        "+ extra[i]",
        "+ extra[0]",
        (test_conv.test_the_axes_of_a_transposed_convolution_are_kept_apart, NUMPY),
    ),
    "let exp overflow": (
        "ops_numpy.softmax",
        "shifted = x - x.max(axis, keepdims=True)",
        "shifted = x",
        (test_loss.test_it_does_not_overflow, NUMPY),
    ),
    "give the gradient to every piece that ties": (
        "ops_numpy.activation",
        "np.where(place == winner,",
        "np.where(grouped == np.take_along_axis(grouped, winner, 2),",
        (test_activation.test_maxout_by_hand, NUMPY),
    ),
    "forget that the gate of a GELU moves too": (
        "ops_torch.activation",
        "(phi + x * torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi))",
        "phi",
        (test_activation.test_worked_values, TORCH, "gelu", {}, None, None, 1),
    ),
    "scale dropout by 1 / p": (
        "ops_numpy.dropout",
        "/ (1 - p) if p < 1",
        "/ p if 0 < p < 1",
        (test_dropout.test_by_hand, NUMPY),
    ),
    "remember the biased variance": (
        "ops_numpy.norm",
        " * (m / (m - 1))",
        "",
        (test_norm.test_the_batch_is_divided_by_the_biased_variance_and_remembers_the_unbiased_one, NUMPY),
    ),
    "take the statistics of a batch for constants": (
        "ops_numpy.norm",
        "_standardise_backward(grad, x_hat, sigma, axes) if training else grad / sigma",
        "grad / sigma",
        (test_norm.test_gradients_are_those_of_finite_differences, "batch_norm", 1e-5),
    ),
    "turn an even window of channels the wrong way round": (
        "ops_numpy.local_norm",
        "(size - 1) // 2, size // 2)",
        "size // 2, (size - 1) // 2)",
        (test_local_norm.test_gradients_of_a_response_are_those_of_finite_differences, {"size": 2, "alpha": 1.0}),
    ),
    "let a query that sees nothing ask for NaN": (
        "ops_numpy.attention",
        "np.where((scores == -np.inf).all(-1, keepdims=True), 0, softmax(scores, dim=-1))",
        "softmax(scores, dim=-1)",
        (test_attention.test_a_query_that_sees_nothing_gets_zeros, NUMPY, "bool"),
    ),
    "read the booleans of a mask the other way round": (
        "ops_torch.attention",
        "masked_fill(attn_mask.logical_not(), -torch.inf)",
        "masked_fill(attn_mask, -torch.inf)",
        (test_attention.test_a_query_that_sees_nothing_gets_zeros, TORCH, "bool"),
    ),
    "count the taps of a fast pooling by columns": (
        "fast.pool",
        "(np.arange(kh)[:, None] * (dh * width) + np.arange(kw) * dw)",
        "(np.arange(kh) * (dh * width) + np.arange(kw)[:, None] * dw)",
        (test_fast_pool.test_the_first_maximum_in_row_major_order_wins, 1),
    ),
    "forget the sign of a pooled zero": (
        "fast.pool",
        "if (maxima == 0).any() and _has_negative_zero(images):",
        "if False:",
        (test_fast_pool.test_the_first_of_two_zeros_keeps_its_sign,),
    ),
    "let a gradient pass at the kink": (
        "fast.activation",
        "np.less_equal(values[block], 0, out=passes)",
        "np.less(values[block], 0, out=passes)",
        (test_fast_norm.test_the_rectifier_at_its_kink,),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mistake_is_caught(name):
    module, line, mistake, (test, *arguments) = MUTANTS[name]
    test(*arguments)
    with mutant(module, line, mistake), np.errstate(all="ignore"):
        with pytest.raises(Exception) as caught:  # noqa: PT011 — gradcheck and assert_close have errors of their own
            test(*arguments)
        assert isinstance(caught.value, (AssertionError, *comparison_errors())), caught.value
    test(*arguments)
