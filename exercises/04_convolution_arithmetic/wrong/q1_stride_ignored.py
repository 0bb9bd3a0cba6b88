# question: q1
# points: 2
# diagnosis: The stride was ignored
def output_size(size, kernel_size, stride, padding, dilation):
    return size + 2 * padding - dilation * (kernel_size - 1), 0
