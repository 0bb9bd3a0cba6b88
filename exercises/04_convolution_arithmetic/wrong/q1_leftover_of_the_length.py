# question: q1
# points: 3
# diagnosis: not the remainder of the whole length
def output_size(size, kernel_size, stride, padding, dilation):
    length = size + 2 * padding
    windows = (length - dilation * (kernel_size - 1) - 1) // stride + 1
    return windows, length % stride
