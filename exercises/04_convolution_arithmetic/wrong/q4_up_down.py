# question: q4
# points: 0
# diagnosis: You mirrored up and down only
def tells_apart(kernels):
    return (kernels != kernels[:, ::-1]).any(axis=(1, 2))
