# question: q1
# points: 2
# diagnosis: Dilation was ignored
def output_size(size, kernel_size, stride, padding, dilation):
    free = size + 2 * padding - kernel_size
    return free // stride + 1, free % stride
