# question: q1
# points: 2
# diagnosis: Dilation was counted as if every tap brought a gap
def output_size(size, kernel_size, stride, padding, dilation):
    free = size + 2 * padding - dilation * kernel_size
    return free // stride + 1, free % stride
