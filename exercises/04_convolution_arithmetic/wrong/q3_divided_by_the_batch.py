# question: q3
# points: 4
# diagnosis: You divided by the batch size
def conv2d_backward(grad_output, x, weight, stride, padding):
    H, W = x.shape[2:]
    kh, kw = weight.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    grad_padded = np.zeros_like(padded)
    grad_weight = np.zeros_like(weight)
    for n, f, i, j in np.ndindex(grad_output.shape):
        rows, columns = slice(stride * i, stride * i + kh), slice(stride * j, stride * j + kw)
        grad_padded[n, :, rows, columns] += grad_output[n, f, i, j] * weight[f]
        grad_weight[f] += grad_output[n, f, i, j] * padded[n, :, rows, columns]
    grad_x = grad_padded[:, :, padding : padding + H, padding : padding + W]
    return grad_x, grad_weight / len(x), grad_output.sum(axis=(2, 3)).mean(axis=0)
