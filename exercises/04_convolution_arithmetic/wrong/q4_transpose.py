# question: q4
# points: 0
# diagnosis: You compared with the transpose
def tells_apart(kernels):
    return np.array([not np.array_equal(kernel, kernel.T) for kernel in kernels])
