import numpy as np
import torch


def words(mask):
    return mask[:, 0, 0]


def real(mask):
    return words(mask)[..., None]


def layer_in_place(x, attend, feed, norm_1, norm_2):
    x += attend(norm_1(x), norm_1(x))
    x += feed(norm_2(x))
    return x


def post_norm_layer(x, attend, feed, norm_1, norm_2):
    x = norm_1(x + attend(x, x))
    return norm_2(x + feed(x))


def seen(x, a, n):
    return x + a(n(x), n(x))


def equal_in_loops(ours, theirs, mask):
    for b in range(len(ours)):
        for s in range(ours.size(1)):
            if mask[b, 0, 0, s]:
                for one, other in zip(ours[b, s].tolist(), theirs[b, s].tolist(), strict=True):
                    if not abs(one - other) <= 1e-10:
                        return False
    return True


RIGHT = {
    "check_what_moves": [(3, 7), [3, 7.0], torch.tensor([3, 7]), np.array([3, 7]), "3 and 7"],
    "check_encoder_layer": [
        layer_in_place,
        lambda x, a, f, n, m: f(m(h := a(n(x), n(x)) + x)) + h,
        lambda x, a, f, n, m: x + a(n(x), n(x)) + f(m(x + a(n(x), n(x)))),
    ],
    "check_baselines": [
        ("the", "cat", "dog", "cat"),
        ["The", "cat", "dog", "cat"],
        "the, cat, dog, cat",
        np.array(["the", "cat", "dog", "cat"]),
    ],
    "check_equality_test": [
        equal_in_loops,
        lambda a, b, m: ((a - b)[words(m)].abs() < 1e-10).all(),
        lambda a, b, m: np.allclose(a[words(m)].numpy(), b[words(m)].numpy(), rtol=0, atol=1e-10),
        lambda a, b, m: (a - b).abs().masked_fill(~real(m), 0).max() < 1e-10,
    ],
}

WRONG = {
    "check_what_moves": [
        ((7, 3), "other way round"),
        ((9, 9), "without the mask"),
        ((1, 7), "as well"),
        ((2, 7), "looks at itself"),
        ((6, 6), "may look at the fourth"),
        ((3, 3), "second layer hears"),
        ((3, 9), "one word further"),
        ((3, 5), "two layers"),
        ((3, 8), "how many words on"),
        (3, "2 numbers are needed"),
        ({3, 7}, "keep them in order"),
    ],
    "check_encoder_layer": [
        (post_norm_layer, "this is post-norm"),
        (lambda x, a, f, n, m: f(m(a(n(x), n(x)))), "both residuals"),
        (lambda x, a, f, n, m: f(m(seen(x, a, n))), "second residual is missing"),
        (lambda x, a, f, n, m: (h := a(n(x), n(x))) + f(m(h)), "first residual is missing"),
        (lambda x, a, f, n, m: (h := n(x) + a(n(x), n(x))) + f(m(h)), "x itself"),
        (lambda x, a, f, n, m: (h := m(seen(x, a, n))) + f(h), "x itself"),
        (lambda x, a, f, n, m: (g := m((h := n(x)) + a(h, h))) + f(g), "x itself"),
        (lambda x, a, f, n, m: (h := x + a(n(x), x)) + f(m(h)), "both arguments"),
        (lambda x, a, f, n, m: (h := x + a(x, n(x))) + f(m(h)), "both arguments"),
        (lambda x, a, f, n, m: seen(x, a, n) + f(m(x)), "should read"),
        (lambda x, a, f, n, m: x + f(m(seen(x, a, n))), "not the first x"),
        (lambda x, a, f, n, m: (h := seen(x, a, m)) + f(n(h)), "swapped"),
        (lambda x, a, f, n, m: (h := seen(x, a, n)) + f(n(h)), "one norm is used twice"),
        (lambda x, a, f, n, m: (h := seen(x, a, m)) + f(m(h)), "one norm is used twice"),
        (lambda x, a, f, n, m: (h := x + n(a(x, x))) + m(f(h)), "not around its result"),
        (lambda x, a, f, n, m: (h := x + a(x, x)) + f(h), "both norms"),
        (lambda x, a, f, n, m: (h := seen(x, a, n)) + f(h), "second norm"),
        (lambda x, a, f, n, m: (h := x + a(x, x)) + f(m(h)), "first norm"),
        (lambda x, a, f, n, m: seen(x, a, n), "feed-forward is missing"),
        (lambda x, a, f, n, m: x + f(m(a(n(x), n(x)))), "norm, attention, add"),
        (lambda x, a, f, n, m: a(x), "stops with TypeError"),
    ],
    "check_baselines": [
        (("cat", "cat", "dog", "cat"), "same for every gap"),
        (("sees", "cat", "dog", "cat"), "same for every gap"),
        (("the", "dog", "dog", "cat"), "only"),
        (("the", "old", "dog", "cat"), "came after"),
        (("the", "cat", "man", "cat"), "was another"),
        (("the", "cat", "cat", "cat"), "before it and"),
        (("the", "cat", "dog", "dog"), "dogs bark"),
        (("the", "cat", "dog", "the"), "sees the word before"),
        ((".", "cat", "dog", "cat"), "yours are 3"),
        ((1, 2, 3, 4), "words are needed"),
    ],
    "check_equality_test": [
        (lambda a, b, m: torch.equal(a, b), "by 1e-11: allow"),
        (lambda a, b, m: torch.equal(a[words(m)], b[words(m)]), "by 1e-11: allow"),
        (lambda a, b, m: torch.allclose(a, b), "number at padding"),
        (lambda a, b, m: ((a - b) * real(m)).abs().max() < 1e-10, "take the real words out"),
        (lambda a, b, m: (a - b)[words(m)].abs().max() < 1e-6, "off by 1e-9"),
        (lambda a, b, m: torch.allclose(a[words(m)], b[words(m)]), "off by 1e-9"),
        (lambda a, b, m: (a - b)[words(m)].max() < 1e-10, "off by 1e-9|lower"),
        (lambda a, b, m: (a - b)[words(m)].mean().abs() < 1e-10, "off by 1e-9|mean"),
        (lambda a, b, m: not (a - b)[words(m)].abs().max() > 1e-10, "NaN at a word"),
        (lambda a, b, m: torch.allclose(a[words(m)], b[words(m)], 0, 1e-13), "by 1e-11"),
        (
            lambda a, b, m: torch.allclose(a[words(m)], b[words(m)], 0, 1e-10, equal_nan=True),
            "both gave NaN",
        ),
        (lambda a, b, m: True, "number of one word"),
        (lambda a, b, m: False, "last bit"),
        (lambda a, b, m: (a - b)[words(m)].abs() < 1e-10, "for example by .all"),
    ],
}
