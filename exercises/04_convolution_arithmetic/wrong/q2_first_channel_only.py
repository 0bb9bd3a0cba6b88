# question: q2
# points: 1
# diagnosis: All channels but the first were ignored
def conv2d(x, weight, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    N, C, H, W = x.shape
    F, C, kh, kw = weight.shape
    y = np.zeros((N, F, (H - kh) // stride + 1, (W - kw) // stride + 1))
    for n, f, i, j in np.ndindex(y.shape):
        window = x[n, 0, stride * i : stride * i + kh, stride * j : stride * j + kw]
        y[n, f, i, j] = (window * weight[f, 0]).sum() + bias[f]
    return y
