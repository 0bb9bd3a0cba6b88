# question: q1
# points: 2
# diagnosis: Padding was added on one side only
def output_size(size, kernel_size, stride, padding, dilation):
    reach = dilation * (kernel_size - 1) + 1
    windows = (size + padding - reach) // stride + 1
    return windows, size + padding - reach - (windows - 1) * stride
