# question: q1
# points: 0
# diagnosis: Dilation was counted as the number of skipped positions
def output_size(size, kernel_size, stride, padding, dilation):
    reach = kernel_size + dilation * (kernel_size - 1)
    free = size + 2 * padding - reach
    return free // stride + 1, free % stride
