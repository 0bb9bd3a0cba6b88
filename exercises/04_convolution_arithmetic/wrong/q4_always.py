# question: q4
# points: 0
# diagnosis: Every kernel got the same answer
def tells_apart(kernels):
    return np.ones(len(kernels), dtype=bool)
