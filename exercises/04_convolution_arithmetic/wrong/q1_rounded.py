# question: q1
# points: 2
# diagnosis: You rounded to the nearest whole number
def output_size(size, kernel_size, stride, padding, dilation):
    steps = (size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride
    windows = round(steps) + 1
    return windows, (steps - round(steps)) * stride
