# question: q2
# points: 0
# diagnosis: Your kernel is transposed
def conv2d(x, weight, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = x.shape
    F, C, kh, kw = weight.shape
    y = np.zeros((N, F, (H - kh) // stride + 1, (W - kw) // stride + 1))
    for n, f, i, j in np.ndindex(y.shape):
        y[n, f, i, j] = bias[f]
        for c, k, l in np.ndindex(C, kh, kw):
            y[n, f, i, j] += x[n, c, stride * i + k, stride * j + l] * weight[f, c, l, k]
    return y
