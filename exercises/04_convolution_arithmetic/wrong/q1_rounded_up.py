# question: q1
# points: 2
# diagnosis: You rounded up
def output_size(size, kernel_size, stride, padding, dilation):
    free = size + 2 * padding - dilation * (kernel_size - 1) - 1
    windows = -(-free // stride) + 1
    return windows, free - (windows - 1) * stride
