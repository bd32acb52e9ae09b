import numpy as np
import torch


def in_loops(table):
    half = table.size(1) // 2
    columns = []
    for i in range(half):
        columns += [table[:, i], table[:, half + i]]
    return torch.stack(columns, 1)


def by_slices(table):
    out, half = torch.empty_like(table), table.size(1) // 2
    out[:, 0::2], out[:, 1::2] = table[:, :half], table[:, half:]
    return out


def rms(x, w, eps=1e-6, axis=-1):
    return x / (x.pow(2).mean(axis, keepdim=True) + eps).sqrt() * w


def rms_in_loops(x, w):
    flat = [v / (sum(n * n for n in v) / len(v) + 1e-6) ** 0.5 * w for v in x.reshape(-1, len(w))]
    return torch.stack(flat).view(x.shape)


def missing_and_unknown(asked, found):
    return sorted(set(asked) - set(found)), sorted(set(found) - set(asked))


def compare_in_loops(asked, found):
    missing, unknown = [], []
    for name in asked:
        if name not in found:
            missing.append(name)
    for name in found:
        if name not in asked:
            unknown.append(name)
    missing.sort(), unknown.sort()
    return [missing, tuple(unknown)]


@torch.no_grad()
def packed(theirs, ours, order=("w_q", "w_k", "w_v"), turned=False, biases=True, out=True):
    blocks = zip(order, theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3), strict=True)
    for name, weight, bias in blocks:
        getattr(ours, name).weight.copy_(weight.T if turned else weight)
        if biases:
            getattr(ours, name).bias.copy_(bias)
    if out:
        ours.w_o.weight.copy_(theirs.out_proj.weight)
        ours.w_o.bias.copy_(theirs.out_proj.bias)
    return ours


def by_state_dict(theirs, ours):
    width, state = theirs.embed_dim, theirs.state_dict()
    names = {}
    for i, name in enumerate(("w_q", "w_k", "w_v")):
        rows = slice(i * width, (i + 1) * width)
        names[f"{name}.weight"] = state["in_proj_weight"][rows]
        names[f"{name}.bias"] = state["in_proj_bias"][rows]
    ours.load_state_dict(
        names | {"w_o.weight": state["out_proj.weight"], "w_o.bias": state["out_proj.bias"]}
    )
    return ours


def new_parameters(theirs, ours):
    ours = packed(theirs, ours)
    ours.w_q.weight = torch.nn.Parameter(theirs.in_proj_weight[: theirs.embed_dim].clone())
    return ours


def into_without_no_grad(theirs, ours):
    ours.w_q.weight.copy_(theirs.in_proj_weight[:8])
    return ours


def shared(theirs, ours):
    ours = packed(theirs, ours)
    ours.w_o = theirs.out_proj
    return ours


def theirs_changed(theirs, ours):
    packed(theirs, ours)
    theirs.in_proj_weight.data.zero_()
    return ours


RIGHT = {
    "check_rows": [(11, 5), [11, 5], np.array([11, 5]), torch.tensor([11.0, 5.0])],
    "check_halves": [
        in_loops,
        by_slices,
        lambda t: t.view(len(t), 2, -1).transpose(1, 2).reshape(t.shape),
        lambda t: np.stack(np.split(t.numpy(), 2, axis=1), -1).reshape(t.shape),
        lambda t: in_loops(t).tolist(),
    ],
    "check_rms_norm": [
        rms_in_loops,
        lambda x, w: torch.nn.functional.rms_norm(x, (len(w),), w, eps=1e-6),
        lambda x, w: w * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6),
        lambda x, w: rms(x.double(), w.double()),
        lambda x, w: (
            x.numpy() / np.sqrt((x.numpy() ** 2).mean(-1, keepdims=True) + 1e-6) * w.numpy()
        ),
    ],
    "check_compare": [compare_in_loops, lambda a, f: [*missing_and_unknown(a, f)]],
    "check_into_ours": [packed, by_state_dict, new_parameters],
}

WRONG = {
    "check_rows": [
        ((10, 5), "two things"),
        ((11, 4), "all others come after"),
        ((11, 6), "counted from 0"),
        ((14, 8), "among the ten"),
        ((9, 9), "one row for each"),
        ((5, 11), "other way round"),
        (11, "2 numbers are needed"),
    ],
    "check_halves": [
        (lambda t: t, "nothing has moved"),
        (lambda t: torch.stack(t.chunk(2, 1)[::-1], -1).flatten(1), "come first"),
        (lambda t: torch.cat([t[:, 0::2], t[:, 1::2]], 1), "way there"),
        (lambda t: torch.cat(t.chunk(2, 1)[::-1], 1), "one by one"),
        (lambda t: t[[0, *range(2, len(t)), 1]], "columns that move"),
        (lambda t: t[:, [0, 4, 1, 5, 2, 6, 3, 7]], "stops with IndexError|fits one input"),
        (
            lambda t: [
                [0.0, 4, 1, 5, 2, 6, 3, 7],
                [8, 12, 9, 13, 10, 14, 11, 15],
                [16, 20, 17, 21, 18, 22, 19, 23],
            ],
            r"should be \(2, 6\), yours is \(3, 8\)",
        ),
    ],
    "check_rms_norm": [
        (lambda x, w: torch.nn.functional.layer_norm(x, (len(w),), w), "doesn't subtract the mean"),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6) * w, "square ROOT"),
        (lambda x, w: x / x.norm(dim=-1, keepdim=True) * w, "the length"),
        (lambda x, w: rms(x, 1), "weight is missing"),
        (lambda x, w: rms(x, 1 / w), "don't divide"),
        (lambda x, w: rms(x, w, axis=0), "each vector"),
        (lambda x, w: x / (x.pow(2).mean() + 1e-6).sqrt() * w, "each vector"),
        (lambda x, w: x / x.pow(2).mean().sqrt() * w, "each vector"),
        (lambda x, w: rms(x, w, 0), "under the root"),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6) * w, "under the root"),
        (lambda x, w: torch.nn.functional.rms_norm(x, (len(w),), w), "another ε"),
        (lambda x, w: torch.nn.RMSNorm(len(w))(x) * w, "another ε"),
        (lambda x, w: rms(x, w, 1e-5), "another ε"),
        (lambda x, w: rms(x, w, 1e-8), "another ε"),
        (lambda x, w: x, "x / √"),
    ],
    "check_compare": [
        (lambda a, f: missing_and_unknown(a, f)[::-1], "swapped"),
        (lambda a, f: (sorted(set(a) - set(f)), []), "lost silently"),
        (lambda a, f: ([], sorted(set(f) - set(a))), "stay random"),
        (lambda a, f: (sorted(set(a) | set(f)), []), "missing: asked for"),
        (lambda a, f: (["a.bias", "b.bias"], ["c.weight", "d.weight"]), "missing: asked for"),
        (lambda a, f: 1, "return a pair"),
        (lambda a, f: ("a", "b"), "list of names"),
        (lambda a, f: ([n for n in a if n not in f], [n for n in f if n not in a]), "sort them"),
        (lambda a, f: (set(a) - set(f), set(f) - set(a)), "sort them"),
    ],
    "check_into_ours": [
        (lambda theirs, ours: ours, "first third"),
        (shared, "don't share"),
        (theirs_changed, "theirs has changed"),
        (into_without_no_grad, "stops with RuntimeError"),
        (lambda theirs, ours: packed(theirs, ours, order=("w_k", "w_q", "w_v")), "in this order"),
        (lambda theirs, ours: packed(theirs, ours, turned=True), "transposed"),
        (lambda theirs, ours: packed(theirs, ours, biases=False), "biases"),
        (lambda theirs, ours: packed(theirs, ours, out=False), "out_proj"),
        (lambda theirs, ours: theirs, "return ours"),
    ],
}
