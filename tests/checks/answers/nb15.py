import math

import numpy as np
import torch

from helpers.lessons.attention_variants import rotate


def patches(x, p):
    return x.unfold(1, p, p).unfold(2, p, p)


def cut(x, p, *order):
    return patches(x, p).permute(*order).reshape(-1, 3 * p * p)


def in_loops(x, p):
    out = []
    for row in range(0, x.size(1), p):
        for column in range(0, x.size(2), p):
            out.append(x[:, row : row + p, column : column + p].flatten())
    return torch.stack(out)


def by_view(x, p):
    side = x.size(1) // p
    return x.view(3, side, p, side, p).permute(1, 3, 0, 2, 4).reshape(side * side, -1)


def by_fold(x, p):
    return torch.nn.functional.unfold(x[None], p, stride=p)[0].T


def rotated(x, p):
    cos, sin = math.cos(p), math.sin(p)
    return torch.stack([x[..., 0] * cos - x[..., 1] * sin, x[..., 0] * sin + x[..., 1] * cos], -1)


def by_matrix(x, p):
    turn = np.array([[math.cos(p), -math.sin(p)], [math.sin(p), math.cos(p)]])
    return x.numpy() @ turn.T


def by_complex(x, p):
    return torch.view_as_real(torch.view_as_complex(x) * complex(math.cos(p), math.sin(p)))


def by_tensor(x, place):
    """Needs a tensor of positions, one for each row, as the notebook's own `rotate` does."""
    cos, sin = place.cos(), place.sin()
    return torch.stack([x[..., 0] * cos - x[..., 1] * sin, x[..., 0] * sin + x[..., 1] * cos], -1)


def by_torch_functions(x, place):
    return by_tensor(x, torch.as_tensor(place))


def in_place(x, p):
    first = x[..., 0].clone()
    x[..., 0] = first * math.cos(p) - x[..., 1] * math.sin(p)
    x[..., 1] = first * math.sin(p) + x[..., 1] * math.cos(p)
    return x


def forgetful(x, p):
    x[..., 0] = x[..., 0] * math.cos(p) - x[..., 1] * math.sin(p)
    x[..., 1] = x[..., 0] * math.sin(p) + x[..., 1] * math.cos(p)
    return x


RIGHT = {
    "check_map_shape": [(4, 8, 25), [4, 8, 25], torch.Size([4, 8, 25]), torch.tensor([4, 8, 25])],
    "check_patches": [in_loops, by_view, by_fold, lambda x, p: in_loops(x, p).tolist()],
    "check_cache_numbers": [
        lambda n, s, d, g: 2 * n * s * d * g,
        lambda n, s, d, g: torch.zeros(n, 2, g, s, d).numel(),
        lambda n, s, d, g: float(2 * n * s * d * g),
        lambda n, s, d, g: np.prod([n, s, d, g, 2]),
    ],
    "check_rotation": [
        rotated,
        rotate,
        by_matrix,
        by_complex,
        by_tensor,
        by_torch_functions,
        in_place,
    ],
}

WRONG = {
    "check_map_shape": [
        ((4, 7, 25), "one more query"),
        ((4, 25, 8), "rows are queries"),
        ((4, 8, 5), "5 times 5"),
        ((4, 8, 1600), "not pixels"),
        ((4, 8, 8), "self-attention"),
        ((4, 8, 64), "how many patches"),
        ((8, 25), "a map of its own"),
        ((1, 4, 8, 25), "leave out the batch"),
        (800, "heads, queries, keys"),
        ((4, 8, "25 patches"), "one number"),
    ],
    "check_patches": [
        (lambda x, p: x.reshape(-1, 3 * p * p), "cuts lines"),
        (lambda x, p: cut(x, p, 2, 1, 0, 3, 4), "column by column"),
        (lambda x, p: cut(x, p, 1, 2, 3, 4, 0), "red comes first"),
        (lambda x, p: cut(x, p, 1, 2, 0, 4, 3), "pixels are read row by row"),
        (lambda x, p: cut(x, p, 0, 1, 2, 3, 4), "channels are apart"),
        (lambda x, p: in_loops(x, p).T, "a row for each patch"),
        (lambda x, p: cut(x, 2, 1, 2, 0, 3, 4), "shape|stops with"),
        (lambda x, p: in_loops(x, p)[:, :4], "shape should be"),
    ],
    "check_cache_numbers": [
        (lambda n, s, d, g: n * s * d * g, "keys AND values"),
        (lambda n, s, d, g: 2 * s * d * g, "every decoder layer"),
        (lambda n, s, d, g: 2 * n * s * d, "one group"),
        (lambda n, s, d, g: 2 * n * s * g, "d_k numbers"),
        (lambda n, s, d, g: 2 * n * d * g, "every source position"),
        (lambda n, s, d, g: 2 * n * s * d * 8, "a quarter"),
        (lambda n, s, d, g: 614_400, "a quarter|fits one input"),
        (lambda n, s, d, g: 7, "layers times keys"),
    ],
    "check_rotation": [
        (lambda x, p: rotated(x, -p), "other way round"),
        (lambda x, p: x + p, "adds the position"),
        (lambda x, p: x * math.cos(p), "both numbers"),
        (lambda x, p: rotated(x, math.radians(p)), "in radians already"),
        (forgetful, "NEW value"),
        (lambda x, p: rotated(x, p).flip(-1), "changed places"),
        (lambda x, p: x, "nothing has turned"),
        (lambda x, p: rotated(x, 0.7), "fits one input"),
        (lambda x, p: x.turn(p), "stops with AttributeError"),
        (0.7, "a function is needed"),
    ],
}
