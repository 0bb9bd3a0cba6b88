# question: q2
# points: 0
# diagnosis: Your kernel is flipped
def conv2d(x, weight, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = x.shape
    F, C, kh, kw = weight.shape
    y = np.zeros((N, F, (H - kh) // stride + 1, (W - kw) // stride + 1))
    for n, f, i, j in np.ndindex(y.shape):
        for c in range(C):
            for k in range(kh):
                for l in range(kw):
                    y[n, f, i, j] += x[n, c, stride * i + kh - 1 - k, stride * j + kw - 1 - l] * weight[f, c, k, l]
        y[n, f, i, j] += bias[f]
    return y
