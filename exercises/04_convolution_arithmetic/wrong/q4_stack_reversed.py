# question: q4
# points: 0
# diagnosis: You reversed the stack of kernels as well
def tells_apart(kernels):
    return (kernels != np.flip(kernels)).any(axis=(1, 2))
