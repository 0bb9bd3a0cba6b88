"""What autograd is handed: *our* forward with *our* backward, so that `torch.autograd.gradcheck` can judge them."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from cnnlib import ops_torch as ops


class Conv2dFunction(torch.autograd.Function):
    """`ops_torch.conv2d` with `ops_torch.conv2d_backward`."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, dilation, groups):  # noqa: D102
        ctx.save_for_backward(x, weight)
        ctx.options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return ops.conv2d(x, weight, bias, **ctx.options)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        grads = ops.conv2d_backward(grad_output, *ctx.saved_tensors, **ctx.options)
        return (*grads[:2], grads[2] if ctx.needs_input_grad[2] else None, None, None, None, None)


class LinearFunction(torch.autograd.Function):
    """`ops_torch.linear` with `ops_torch.linear_backward`."""

    @staticmethod
    def forward(ctx, x, weight, bias):  # noqa: D102
        ctx.save_for_backward(x, weight)
        return ops.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        grads = ops.linear_backward(grad_output, *ctx.saved_tensors)
        return (*grads[:2], grads[2] if ctx.needs_input_grad[2] else None)


class ReLUFunction(torch.autograd.Function):
    """`ops_torch.relu` with `ops_torch.relu_backward`."""

    @staticmethod
    def forward(ctx, x):  # noqa: D102
        ctx.save_for_backward(x)
        return ops.relu(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        return ops.relu_backward(grad_output, *ctx.saved_tensors)


class MaxPool2dFunction(torch.autograd.Function):
    """`ops_torch.max_pool2d` with `ops_torch.max_pool2d_backward`; returns (y, indices)."""

    @staticmethod
    def forward(ctx, x, kernel_size, stride, padding):  # noqa: D102
        y, indices = ops.max_pool2d(x, kernel_size, stride=stride, padding=padding)
        ctx.save_for_backward(indices)
        ctx.mark_non_differentiable(indices)
        ctx.input_size = tuple(x.shape[2:])
        return y, indices

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output, _):  # noqa: D102
        (indices,) = ctx.saved_tensors
        return ops.max_pool2d_backward(grad_output, indices, input_size=ctx.input_size), None, None, None


class AvgPool2dFunction(torch.autograd.Function):
    """`ops_torch.avg_pool2d` with `ops_torch.avg_pool2d_backward`."""

    @staticmethod
    def forward(ctx, x, kernel_size, stride, padding):  # noqa: D102
        ctx.options = {"stride": stride, "padding": padding}
        ctx.kernel_size, ctx.input_size = kernel_size, tuple(x.shape[2:])
        return ops.avg_pool2d(x, kernel_size, **ctx.options)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        grad_x = ops.avg_pool2d_backward(grad_output, ctx.kernel_size, input_size=ctx.input_size, **ctx.options)
        return grad_x, None, None, None


class CrossEntropyFunction(torch.autograd.Function):
    """`ops_torch.cross_entropy` with `ops_torch.cross_entropy_backward`, the mean over the batch."""

    @staticmethod
    def forward(ctx, logits, target):  # noqa: D102
        ctx.save_for_backward(logits, target)
        return ops.cross_entropy(logits, target)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        return ops.cross_entropy_backward(grad_output, *ctx.saved_tensors), None


class BatchNormFunction(torch.autograd.Function):
    """`ops_torch.batch_norm` with `ops_torch.batch_norm_backward`; returns (y, running_mean, running_var)."""

    @staticmethod
    def forward(ctx, x, running_mean, running_var, weight, bias, options):  # noqa: D102
        ctx.save_for_backward(x, running_mean, running_var, weight)
        ctx.options = {"training": options["training"], "eps": options["eps"]}
        y, *running = ops.batch_norm(x, running_mean, running_var, weight, bias, **options)
        ctx.mark_non_differentiable(*running)
        return y, *running

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output, *_):  # noqa: D102
        x, running_mean, running_var, weight = ctx.saved_tensors
        grad_x, grad_weight, grad_bias = ops.batch_norm_backward(
            grad_output, x, running_mean, running_var, weight, **ctx.options
        )
        return grad_x, None, None, grad_weight, grad_bias, None


class DropoutFunction(torch.autograd.Function):
    """`ops_torch.dropout` with `ops_torch.dropout_backward`."""

    @staticmethod
    def forward(ctx, x, mask, p):  # noqa: D102
        ctx.save_for_backward(mask)
        ctx.p = p
        return ops.dropout(x, mask, p=p)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):  # noqa: D102
        return ops.dropout_backward(grad_output, *ctx.saved_tensors, p=ctx.p), None, None
