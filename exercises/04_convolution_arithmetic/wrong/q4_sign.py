# question: q4
# points: 0
# diagnosis: You took a kernel that changes sign for one that stays
def tells_apart(kernels):
    turned = np.rot90(kernels, 2, axes=(1, 2))
    return np.array([not (np.array_equal(k, t) or np.array_equal(k, -t)) for k, t in zip(kernels, turned)])
