# question: q3
# points: 1
# diagnosis: Your kernel is flipped
def conv2d_backward(grad_output, x, weight, stride, padding):
    H, W = x.shape[2:]
    kh, kw = weight.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    grad_padded = np.zeros_like(padded)
    grad_weight = np.zeros_like(weight)
    for n, f, i, j in np.ndindex(grad_output.shape):
        rows, columns = slice(stride * i, stride * i + kh), slice(stride * j, stride * j + kw)
        grad_padded[n, :, rows, columns] += grad_output[n, f, i, j] * weight[f, :, ::-1, ::-1]
        grad_weight[f] += grad_output[n, f, i, j] * padded[n, :, rows, columns]
    grad_x = grad_padded[:, :, padding : padding + H, padding : padding + W]
    return grad_x, grad_weight[:, :, ::-1, ::-1], grad_output.sum(axis=(0, 2, 3))
