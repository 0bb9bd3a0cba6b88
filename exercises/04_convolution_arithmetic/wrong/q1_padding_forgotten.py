# question: q1
# points: 2
# diagnosis: Padding was ignored
def output_size(size, kernel_size, stride, padding, dilation):
    free = size - dilation * (kernel_size - 1) - 1
    return free // stride + 1, free % stride
