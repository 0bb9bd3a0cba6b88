# question: q2
# points: 4
# diagnosis: The zeros were all put on one side
def conv2d(x, weight, bias, stride, padding):
    x = np.pad(x, ((0, 0), (0, 0), (2 * padding, 0), (2 * padding, 0)))
    N, C, H, W = x.shape
    F, C, kh, kw = weight.shape
    y = np.zeros((N, F, (H - kh) // stride + 1, (W - kw) // stride + 1))
    for n, f, i, j in np.ndindex(y.shape):
        window = x[n, :, stride * i : stride * i + kh, stride * j : stride * j + kw]
        y[n, f, i, j] = (window * weight[f]).sum() + bias[f]
    return y
