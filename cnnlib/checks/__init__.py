"""What both twins check, once, at the public boundary: what all arrays share here, what a family asks in its module.

Every refusal is a ValueError that names the argument, says what it is, and what was expected.
"""

from cnnlib.checks import attention, conv, loss, norm, pool
from cnnlib.checks.arrays import (
    as_int64,
    beside,
    choice,
    dimension,
    dtype_name,
    floating,
    fraction,
    function,
    integers,
    like,
    linear_operands,
    mask,
    matching,
    maxout_operands,
    number,
    plain,
    real,
    sequence,
    shaped,
    softplus_options,
)

__all__ = [
    "as_int64",
    "attention",
    "beside",
    "choice",
    "conv",
    "dimension",
    "dtype_name",
    "floating",
    "fraction",
    "function",
    "integers",
    "like",
    "linear_operands",
    "loss",
    "mask",
    "matching",
    "maxout_operands",
    "norm",
    "number",
    "plain",
    "pool",
    "real",
    "sequence",
    "shaped",
    "softplus_options",
]
