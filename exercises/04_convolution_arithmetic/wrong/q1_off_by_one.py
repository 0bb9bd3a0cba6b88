# question: q1
# points: 1
# diagnosis: Off by one
def output_size(size, kernel_size, stride, padding, dilation):
    free = size + 2 * padding - dilation * (kernel_size - 1) - 1
    return free // stride, free % stride
