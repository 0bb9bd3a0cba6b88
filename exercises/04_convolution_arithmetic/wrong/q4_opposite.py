# question: q4
# points: 0
# diagnosis: You answered the opposite question
def tells_apart(kernels):
    return np.array([np.array_equal(kernel, kernel[::-1, ::-1]) for kernel in kernels])
