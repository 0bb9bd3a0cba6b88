# question: q4
# points: 0
# diagnosis: You mirrored left and right only
def tells_apart(kernels):
    return np.array([not np.array_equal(kernel, np.fliplr(kernel)) for kernel in kernels])
