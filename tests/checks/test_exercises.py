"""Every exercise: the stub says "not attempted yet", the folded solution passes its check.

And every check tells typical wrong answers apart, with the diagnosis that fits.
"""

import importlib
import math
import random
import re

import matplotlib
import numpy as np
import pytest
import torch

from helpers.attention import MultiHeadAttention, merge_heads, record_attention, split_heads
from helpers.layers import AddNorm, sinusoidal_positions
from helpers.lessons.broken_models import CASES, source_ids, target_ids
from helpers.lessons.leaky_models import CausalMaskForgotten
from helpers.masks import causal_mask, padding_mask
from helpers.transformer import Transformer
from tools import notebooks as tools

PATHS = sorted(tools.NOTEBOOKS.glob("*.ipynb"))


def namespace_after_setup(notebook) -> dict:
    """What a learner has after the first two cells and the cells that define helpers."""
    names: dict = {"__name__": "__main__"}
    for cell in tools.code_cells(notebook):
        if {"setup", "imports"} & set(tools.tags(cell)) or tools.helper_names(cell):
            exec(cell.source, names)
    return names


def exercises(notebook):
    for index, cell in enumerate(notebook.cells):
        if "exercise" in tools.tags(cell):
            yield cell.source, notebook.cells[index + 1].source


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stubs_are_harmless_and_solutions_pass(path, capsys):
    assert matplotlib  # imported before, so that notebooks find its settings as they are
    notebook = tools.read(path)
    names = namespace_after_setup(notebook)
    for stub, solution in exercises(notebook):
        capsys.readouterr()
        exec(stub, dict(names))
        assert "not attempted yet" in capsys.readouterr().out
        check = stub.strip().splitlines()[-1]
        assert re.fullmatch(r"check_\w+\(\w+\)", check), f"ends with {check!r}, not with a check"
        code = re.search(r"```python\n(.*?)```", solution, re.DOTALL).group(1)
        mine = dict(names)
        exec(code, mine)
        before = random_states()
        assert eval(check, mine) is True, capsys.readouterr().out
        assert random_states() == before, f"{check} changes the caller's random numbers"


def random_states():
    """Of torch, NumPy and Python, as something that can be compared."""
    kind, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), (kind, keys.tolist(), *rest), random.getstate()


def softmax(scores, axis=-1):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def merge_interleaved(x):
    return x.permute(0, 2, 3, 1).flatten(2)


def knows_order(f, order=(3, 0, 5, 1, 4, 2), moved=True, exactly=False):
    x, order = np.random.default_rng(0).normal(size=(6, 3)), list(order)
    one, other = f(x[order]), f(x)[order] if moved else f(x)
    return not (np.array_equal(one, other) if exactly else np.allclose(one, other))


def maps_of(layer, x):
    with record_attention(layer) as maps:
        layer(x, x)
    return maps["attention"].detach()


def recording_on(layer, x):
    found = maps_of(layer, x)[0].argmax(-1)
    layer.attention = lambda *inputs, whole=layer.attention: whole(*inputs)
    return found


def own_wavelengths(position, d_model):
    columns = torch.arange(d_model)
    waves = position / 10_000 ** (columns / d_model)
    return torch.where(columns % 2 == 0, waves.sin(), waves.cos())


def words(mask):
    return mask[:, 0, 0]


def real(mask):
    return words(mask)[..., None]


def decoder_layer(
    y, memory, source_mask, look_back, look_across, feed, norms,
    causal=True, masked=True, swapped=False, residual="own", ends_with_a_norm=True, triangle=None,
):  # fmt: skip
    if triangle is None and causal:
        triangle = causal_mask(y.shape[1])
    source_mask = source_mask if masked else None
    if residual == "none":
        y = norms[0](look_back(y, y, triangle))
        return norms[2](feed(norms[1](look_across(y, memory, source_mask))))
    if swapped:
        y = norms[0](y + look_across(y, memory, source_mask))
        y = norms[1](y + look_back(y, y, triangle))
    else:
        y = norms[0](y + look_back(y, y, triangle))
        heard = look_across(y, memory, source_mask)
        y = norms[1]((memory if residual == "memory" else y) + heard)
    y = y + feed(y)
    return norms[2](y) if ends_with_a_norm else y


def pre_norm_decoder_layer(y, memory, source_mask, look_back, look_across, feed, norms):
    h = norms[0](y)
    y = y + look_back(h, h, causal_mask(y.shape[1]))
    y = y + look_across(norms[1](y), memory, source_mask)
    return y + feed(norms[2](y))


def writes(ask, limit, start=(1,), newest=False, keep_end=False, stop=True, pick=torch.argmax):
    ids = list(start)
    for _ in range(limit):
        word = int(pick(ask(ids[-1:] if newest else ids)))
        ids.append(word)
        if word == 2 and stop:
            break
    said = ids[len(start) :]
    return said if keep_end or said[-1:] != [2] else said[:-1]


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


def into_without_no_grad(theirs, ours):
    ours.w_q.weight.copy_(theirs.in_proj_weight[:8])
    return ours


def shared(theirs, ours):
    ours = packed(theirs, ours)
    ours.w_o = theirs.out_proj
    return ours


WRONG = {
    "nb00.check_three_parts": [
        (("encoder", "decoder"), "what connects"),
        (("encoder", "cross-attention"), "what writes"),
        (("decoder", "cross-attention"), "what reads"),
    ],
    "nb00.check_row": [
        (("dog",), "rows are English"),
        (("der", "Ball"), "find the row"),
        (("hat",), "further to the right"),
    ],
    "nb00.check_order": [(1, "word by word"), (0, "count from 1"), (4, "yesterday")],
    "nb01.check_rows": [((9, 9), "sum of one row"), ((2, 9), "a share"), ((1, 3), "per query")],
    "nb01.check_attention_by_hand": [
        (lambda q, k, v: softmax(q @ k.T) @ v, "not divided"),
        (lambda q, k, v: softmax(q @ k.T / 4) @ v, "square root"),
        (lambda q, k, v: softmax(q @ k.T / 2, axis=0) @ v, "wrong axis"),
        (lambda q, k, v: q @ k.T / 2 @ v, "softmax is missing"),
        (lambda q, k, v: softmax(q @ k.T / 2), "these are the weights"),
    ],
    "nb01.check_copying_scores": [
        (lambda n: 10 * np.eye(n, k=1), "NEXT"),
        (lambda n: np.eye(n, k=-1), "larger differences"),
        (lambda n: 10 * np.eye(n), "column t - 1"),
        (lambda n: np.eye(n - 1), r"\(4, 4\)"),
    ],
    "nb01.check_order_test": [
        (lambda f: knows_order(f, moved=False), "move along"),
        (lambda f: knows_order(f, exactly=True), "to rounding"),
        (lambda f: knows_order(f, order=range(5, -1, -1)), "reverse"),
        (lambda f: not knows_order(f), "swapped"),
        (lambda f: True, "True of every f"),
    ],
    "nb02.check_parameters": [
        ((16384, 16384), "bias too"),
        ((12480, 12480), "W_O is missing"),
        ((16640, 133120), "does the size change"),
    ],
    "nb02.check_merge": [
        (lambda x: x.reshape(2, 5, 12), "mixes words"),
        (merge_interleaved, "interleaved"),
        (lambda x: x.mean(1), "averaged"),
    ],
    "nb02.check_two_places": [
        ([[0.5, 0, 0.5]] * 2, "look alike"),
        ([[1, 1, 0], [0, 0, 1]], "sum to 1"),
        ([[0, 0, 1], [1, 0, 0]], "each other's word"),
    ],
    "nb02.check_multi_head": [
        (lambda q, k, v, h: softmax_torch(q, k, v), "one head"),
        (lambda q, k, v, h: heads_torch(q, k / 2**0.5, v, h), "d_model"),
        (lambda q, k, v, h: heads_torch(q, k, k, h), "split all three"),
    ],
    "nb02.check_strongest": [
        (lambda layer, x: maps_of(layer, x)[0], "argmax"),
        (lambda layer, x: maps_of(layer, x).argmax(-1), "batch"),
        (lambda layer, x: maps_of(layer, x)[0].argmax(-2), "rows are queries"),
        (lambda layer, x: maps_of(layer, x)[0].mean(0).argmax(-1), "averaged"),
        (recording_on, "still records"),
    ],
    "nb03.check_zero_row": [
        ((0, 15), "how many are not"),
        ((1, 10), "itself"),
        ((0, 4), "diagonal"),
    ],
    "nb03.check_decoder_mask": [
        (lambda ids: ~(padding_mask(ids) & causal_mask(4)), "HIDDEN"),
        (lambda ids: causal_mask(4), "padding"),
        (lambda ids: padding_mask(ids), "future"),
        (lambda ids: (padding_mask(ids) & causal_mask(4)).float(), "boolean"),
        (lambda ids: padding_mask(ids) | causal_mask(4), "either"),
    ],
    "nb03.check_leak_test": [
        (lambda f: True, "never sees"),
        (lambda f: False, "LATER"),
        (lambda f: torch.equal(f(torch.ones(2, 6)), torch.arange(1, 7.0).expand(2, 6)), "swapped"),
    ],
    "nb03.check_for_torch": [
        (lambda ids: (ids != 0, ~causal_mask(4)), "where there is padding"),
        (lambda ids: (ids == 0, causal_mask(4)), "hides the past"),
        (lambda ids: (~causal_mask(4), ids == 0), "swapped"),
        (lambda ids: (~padding_mask(ids), ~causal_mask(4)), "yours are"),
        (lambda ids: (ids == 0, torch.ones(4, 4).triu() > 0), "diagonal"),
    ],
    "nb04.check_feed_forward_share": [
        ((2099712, 1050624), "swapped"),
        ((1050624, 1050624), "two linear maps|up to d_ff"),
        ((1048576, 2097152), "bias"),
    ],
    "nb04.check_layer_norm": [
        (
            lambda x: (
                (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5)
            ),
            "square root",
        ),
        (lambda x: x / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt(), "not subtracted"),
        (
            lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt(),
            "unbiased",
        ),
        (
            lambda x: (x - x.mean((0, 1))) / (x.var((0, 1), correction=0) + 1e-5).sqrt(),
            "each vector",
        ),
    ],
    "nb04.check_block": [
        (lambda x, n, s: n(x + s(x)), "post-norm"),
        (lambda x, n, s: s(n(x)), "residual is missing"),
        (lambda x, n, s: n(x) + s(n(x)), "AROUND"),
    ],
    "nb04.check_position": [
        (lambda t, d: sinusoidal_positions(8, d)[t + 1], "counted from 0"),
        (lambda t, d: sinusoidal_positions(8, d)[t][[1, 0, 3, 2, 5, 4]], "sine comes first"),
        (lambda t, d: sinusoidal_positions(8, d)[t][[0, 2, 4, 1, 3, 5]], "alternate"),
        (own_wavelengths, "share one wavelength"),
    ],
    "nb05.check_what_moves": [((1, 0), "everybody"), ((5, 0), "causal"), ((9, 9), "masked")],
    "nb05.check_encoder_layer": [
        (lambda x, a, f, n, m: m(f(n(x + a(x, x)))), "second residual is missing"),
        (lambda x, a, f, n, m: m(n(x + a(x, x)) + f(x)), "should read"),
        (lambda x, a, f, n, m: m(x + f(n(x + a(x, x)))), "not the first x"),
        (lambda x, a, f, n, m: pre_norm_layer(x, a, f, n, m), "pre-norm"),
    ],
    "nb05.check_baseline": [
        (lambda a, b: 0.5, "in training"),
        (lambda a, b: 3, "divide"),
        (lambda a, b: 0.25, "every test word"),
    ],
    "nb05.check_equality_test": [
        (lambda a, b, m: torch.equal(a, b), "rounded otherwise, by 1e-11"),
        (lambda a, b, m: torch.allclose(a, b), "number at padding"),
        (lambda a, b, m: ((a - b) * real(m)).abs().max() < 1e-10, "take the real words out"),
        (lambda a, b, m: (a - b)[words(m)].abs().max() < 1e-6, "off by 1e-9"),
        (lambda a, b, m: (a - b)[words(m)].max() < 1e-10, "off by 1e-9|lower"),
        (lambda a, b, m: not (a - b)[words(m)].abs().max() > 1e-10, "NaN at a word"),
        (lambda a, b, m: torch.allclose(a[words(m)], b[words(m)], 0, 1e-13), "by 1e-11"),
        (
            lambda a, b, m: torch.allclose(a[words(m)], b[words(m)], 0, 1e-10, equal_nan=True),
            "both gave NaN",
        ),
    ],
    "nb06.check_shift": [
        (lambda ids: (ids, ids), "only have to copy"),
        (lambda ids: (ids[:-1], ids[1:]), "start"),
        (lambda ids: ([*ids, 2], [1, *ids]), "wrong way"),
        (lambda ids: ([1, *ids, 2], [*ids, 2]), "equally long"),
    ],
    "nb06.check_temperature": [
        (lambda z, t: (z * t).softmax(-1), "multiplied"),
        (lambda z, t: z.softmax(-1) / t, "BEFORE"),
        (lambda z, t: z / t, "still"),
    ],
    "nb06.check_what_it_needs": [
        ("a mask", "has its mask"),
        ("positions", "positions"),
        ("more layers", "which sentence"),
    ],
    "nb06.check_decoder_only": [
        (lambda layer, x: layer(x), "mask is missing"),
        (lambda layer, x: layer(x, ~causal_mask(x.shape[1])), "inverted"),
        (lambda layer, x: layer(x, causal_mask(x.shape[1]).T), "rows are queries"),
        (lambda layer, x: layer(x, causal_mask(x.shape[1])[:1]), "triangle"),
        (lambda layer, x: layer(x, causal_mask(5)), "stops with"),
    ],
    "nb07.check_shapes": [
        (((2, 4, 5, 3), (2, 3, 16)), "rows are queries"),
        (((2, 4, 3, 3), (2, 3, 16)), "square"),
        (((2, 4, 3, 5), (2, 5, 16)), "per QUERY"),
    ],
    "nb07.check_cross_attention": [
        (lambda a, y, m, ids: a(m, y, padding_mask(ids)), "queries come from|x, context"),
        (lambda a, y, m, ids: a(y, y, padding_mask(ids)), "from the decoder"),
        (lambda a, y, m, ids: a(y, m), "mask is missing"),
        (lambda a, y, m, ids: a(y, m, causal_mask(5)), "causal"),
        (lambda a, y, m, ids: a(y, m, ~padding_mask(ids)), "inverted"),
    ],
    "nb07.check_who_moved": [
        ((True, False, True), "comes before"),
        ((False, True, True), "only enter"),
        ((False, False, False), "QUERIES"),
    ],
    "nb07.check_hearing_test": [
        (lambda f: True, "accepts the wiring 'keys and values from the decoder'"),
        (lambda f: False, "rejects the wiring 'right'"),
        (lambda f: hears(f, 5, 5, range(5)), "'queries from the memory'"),
        (lambda f: hears(f, 3, 5, [0]), "'only the first source word'"),
        (lambda f: hears(f, 3, 5, range(4)), "'only the first source word'|'the last"),
        (lambda f: hears(f, 3, 5, [slice(None)]), "'only the first source word'"),
    ],
    "nb07.check_decoder_layer": [
        (lambda *parts: decoder_layer(*parts, causal=False), "future"),
        (lambda *parts: decoder_layer(*parts, masked=False), "padding"),
        (lambda *parts: decoder_layer(*parts, swapped=True), "second"),
        (lambda *parts: decoder_layer(*parts, residual="memory"), "residual"),
        (lambda y, *parts: y, "nothing has happened"),
        (lambda *parts: decoder_layer(*parts, ends_with_a_norm=False), "each time norm"),
        (lambda *parts: decoder_layer(*parts, causal=False, masked=False), "both masks"),
        (lambda *parts: decoder_layer(*parts, triangle=causal_mask(5)), "stops with"),
        (lambda *parts: decoder_layer(*parts, residual="none"), "residuals are missing"),
        (pre_norm_decoder_layer, "pre-norm"),
    ],
    "nb08.check_arrows": [
        ((1, 1), "cross-attention per layer"),
        ((6, 6), "layer i"),
        ((12, 1), "K and V"),
    ],
    "nb08.check_parameter_count": [
        (lambda d, f: 4 * (d * d + d) + 2 * d * f + d + f + 4 * d, "encoder layer"),
        (lambda d, f: 8 * d * d + 2 * d * f + 6 * d, "biases"),
        (lambda d, f: 8 * (d * d + d) + 2 * d * f + d + f + 4 * d, "three norms"),
        (lambda d, f: 8 * (d * d + d) + 2 * d * f + d + f, "norms are missing"),
    ],
    "nb08.check_wiring_test": [
        (lambda r, m, n: m in r, "layer i"),
        (lambda r, m, n: all(c is m for c in r), "last layer only"),
        (lambda r, m, n: len(set(r)) == 1 and len(r) == n, "early encoder"),
        (lambda r, m, n: False, "right"),
    ],
    "nb09.check_uniform_loss": [
        (9.97, "bits"),
        (3.0, "base 10"),
        (0.001, "probability"),
        (5, "1/1000"),
    ],
    "nb09.check_smoothed_target": [
        (lambda t, v, e: torch.eye(v)[t], "hard target"),
        (lambda t, v, e: torch.eye(v)[t] + e / v, "more than 1"),
        (lambda t, v, e: torch.full((v,), e / 4) + (0.9 - e / 4) * torch.eye(v)[t], "other words"),
    ],
    "nb09.check_exact_match": [
        (lambda a, b: sum(x == y for x, y in zip(a, b, strict=True)), "counts"),
        (lambda a, b: sum(x != y for x, y in zip(a, b, strict=True)) / 3, "wrong"),
        (lambda a, b: 1.0, "every sign"),
    ],
    "nb09.check_padding_share": [
        (lambda batches: 31 / 37, "share of real"),
        (lambda batches: 6, "divide"),
        (lambda batches: sum(1 - sum(b) / max(b) / len(b) for b in batches) / 3, "mean of shares"),
        (lambda batches: 1 - sum(map(sum, batches)) / (8 * 6), "ITS longest"),
    ],
    "nb09.check_rate": [
        (lambda s, p, w, n: p * min(1, s / w), "should fall"),
        (lambda s, p, w, n: p * (n - s) / n, "warm-up is missing"),
        (lambda s, p, w, n: p * s / w if s <= w else p * (n - s) / n, "jumps"),
        (lambda s, p, w, n: p * max(s / w, (n - s) / (n - w)), "LOWER"),
    ],
    "nb10.check_key_counts": [
        ((72, 6), "other way round"),
        ((1, 12), "one layer"),
        ((72, 72), "without a cache"),
        ((6, 12), "count layers"),
    ],
    "nb10.check_winner": [
        (lambda t, n, a: 2, "largest, near zero"),
        (lambda t, n, a: 1, "most probable one"),
        (lambda t, n, a: 0, "length does not count"),
        (lambda t, n, a: 0 if a == 0 else 2, "length itself"),
    ],
    "nb10.check_nucleus": [
        (lambda p, top_p: p.masked_fill(p < 0.2, 0.0), "sum to 1"),
        (lambda p, top_p: (p == p.max()).float(), "crosses top_p"),
        (lambda p, top_p: p, "nothing is cut"),
    ],
    "nb10.check_greedy": [
        (lambda ask, n: writes(ask, n, keep_end=True), "no word of it"),
        (lambda ask, n: [1, *writes(ask, n)], "leave <bos> out"),
        (lambda ask, n: writes(ask, n, newest=True), "newest"),
        (lambda ask, n: writes(ask, n, stop=False), "goes on"),
        (lambda ask, n: writes(ask, 9), "max_words = 4"),
        (lambda ask, n: writes(ask, 999, stop=False), "never stops"),
        (lambda ask, n: writes(ask, 999), "never stops"),
        (lambda ask, n: ask(torch.tensor([[1]])), "without a batch"),
        (lambda ask, n: ask([[1]]), "without a batch"),
        (lambda ask, n: writes(ask, n, start=[]), r"\[BOS\] alone"),
        (lambda ask, n: writes(ask, n, pick=lambda x: int(x.argsort()[-2])), "largest logit"),
    ],
    "nb11.check_least_gradient": [
        ("none", "none at all"),
        ("mean", "evenly"),
        ("full", "one step"),
        ("recurrent with cross-attention", "short one"),
        ("lstm", "name one of"),
    ],
    "nb11.check_zero_head": [
        (lambda m, head, n: m * (torch.arange(m.size(-1)) % n != head), "neighbouring"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) // 4 == head), "keeps that head"),
        (lambda m, head, n: m * (torch.arange(m.size(-1)) != head), "one column"),
        (lambda m, head, n: m * 0, "columns head"),
    ],
    "nb11.check_pooled": [
        (lambda m, real: m.mean(1, keepdim=True), "padding is averaged"),
        (lambda m, real: (m * real[..., None]).mean(1, keepdim=True), "still counted"),
        (lambda m, real: (m * real[..., None]).sum(1) / real.sum(1)[:, None], "source axis"),
    ],
}


def longest_match(word, merges):
    """Greedy from the left: what byte-pair encoding is often taken for."""
    known, rest, pieces = {"".join(m) for m in merges}, "▁" + word, []
    while rest:
        size = max(n for n in range(1, len(rest) + 1) if n == 1 or rest[:n] in known)
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


WRONG |= {
    "nb13.check_parts": [
        ((4, 512), "in two again"),
        ((2, 1024), "does not replace"),
        ((8, 2048), "whole step"),
        ((256, 8), "first the number"),
        ((3, 3), "processes times parts"),
    ],
    "nb13.check_cut_up": [
        (lambda w, m: list(w), "begin with ▁"),
        (lambda w, m: ["▁", *w], "nothing is merged"),
        (lambda w, m: cut_once(w, m), "not only the first"),
        (lambda w, m: cut(w, m[::-1]), "mind the merges' order"),
        (longest_match, "mind the merges' order"),
        (lambda w, m: ["▁ein"], "must join"),
        (lambda w, m: 3, "a list of pieces"),
    ],
    "nb13.check_whole_loss": [
        (lambda losses, n: sum(losses) / len(losses), "count by tokens"),
        (lambda losses, n: sum(a * b for a, b in zip(losses, n, strict=True)), "divide it"),
        (lambda losses, n: sum(losses), "adds the means"),
        (lambda losses, n: 1.0, "share of the tokens"),
    ],
    "nb14.check_rows": [
        ((10, 5), "two things"),
        ((11, 4), "move up"),
        ((14, 8), "among the ten"),
        ((9, 9), "one row for each"),
    ],
    "nb14.check_halves": [
        (lambda t: t, "nothing has moved"),
        (lambda t: torch.stack(t.chunk(2, 1)[::-1], -1).flatten(1), "come first"),
        (lambda t: torch.cat([t[:, 0::2], t[:, 1::2]], 1), "way there"),
        (lambda t: t[[0, 2, 1]], "columns that move"),
    ],
    "nb14.check_rms_norm": [
        (lambda x, w: torch.nn.functional.layer_norm(x, (4,), w), "does not take the mean"),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6) * w, "square ROOT"),
        (lambda x, w: x / x.norm(dim=-1, keepdim=True) * w, "the length"),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt(), "weight is missing"),
        (lambda x, w: x / (x.pow(2).mean(0) + 1e-6).sqrt() * w, "each vector"),
        (lambda x, w: x / x.pow(2).mean(-1, keepdim=True).sqrt() * w, "under the root"),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6) * w, "under the root"),
    ],
    "nb14.check_compare": [
        (lambda a, f: (sorted(set(f) - set(a)), sorted(set(a) - set(f))), "swapped"),
        (lambda a, f: (sorted(set(a) - set(f)), []), "lost silently"),
        (lambda a, f: (sorted(set(a) | set(f)), []), "missing: asked for"),
        (lambda a, f: 1, "pair of lists"),
        (lambda a, f: ([n for n in a if n not in f], [n for n in f if n not in a]), "sort them"),
        (lambda a, f: (set(a) - set(f), set(f) - set(a)), "sort them"),
    ],
    "nb14.check_into_ours": [
        (lambda theirs, ours: ours, "first third"),
        (lambda theirs, ours: shared(theirs, ours), "do not share"),
        (lambda theirs, ours: into_without_no_grad(theirs, ours), "stops with RuntimeError"),
        (lambda theirs, ours: packed(theirs, ours, order=("w_k", "w_q", "w_v")), "in this order"),
        (lambda theirs, ours: packed(theirs, ours, turned=True), "transposed"),
        (lambda theirs, ours: packed(theirs, ours, biases=False), "biases"),
        (lambda theirs, ours: packed(theirs, ours, out=False), "out_proj"),
        (lambda theirs, ours: theirs, "return ours"),
    ],
    "nb15.check_map_shape": [
        ((4, 7, 25), "one query more"),
        ((4, 25, 8), "rows are queries"),
        ((4, 8, 5), "5 times 5"),
        ((4, 8, 1600), "not pixels"),
        ((4, 8, 8), "self-attention"),
    ],
    "nb15.check_patches": [
        (lambda x, p: x.reshape(9, 12), "cuts lines"),
        (lambda x, p: patches(x, p).permute(2, 1, 0, 3, 4).reshape(9, 12), "column by column"),
        (lambda x, p: patches(x, p).permute(1, 2, 3, 4, 0).reshape(9, 12), "red comes first"),
        (lambda x, p: x.reshape(12, 9), "shape should be"),
    ],
    "nb15.check_cache_numbers": [
        (lambda n, s, d, g: n * s * d * g, "keys AND values"),
        (lambda n, s, d, g: 2 * s * d * g, "every decoder layer"),
        (lambda n, s, d, g: 2 * n * s * d, "one group"),
        (lambda n, s, d, g: 2 * n * s * d * 8, "a quarter"),
    ],
    "nb15.check_rotation": [
        (lambda x, p: rotated(x, -p), "other way round"),
        (lambda x, p: x + p, "adds the position"),
        (lambda x, p: x * math.cos(p), "both numbers"),
    ],
    "nb16.check_map_shape": [
        ((6, 9, 1500), "one query more"),
        ((6, 1500, 10), "rows are queries"),
        ((6, 10, 3000), "steps of two"),
        ((6, 10, 80), "mel bands"),
        ((4, 10, 1500), "number of layers"),
        ((6, 10, 237), "30 seconds, always"),
        ((6, 10), "heads, queries, keys"),
    ],
    "nb16.check_moment": [
        (lambda s: s * 50, "a whole number"),
        (lambda s: int(s * 100), "half as many"),
        (lambda s: int(s * 16_000), "samples"),
        (lambda s: math.ceil(round(s * 50, 6)), "round down"),
        (lambda s: int(s * 20), "0.02 s"),
    ],
    "nb16.check_compress": [
        (lambda p: loudness(p, torch.log), "natural logarithm"),
        (lambda p: (p.clamp(min=1e-10).log10() + 4) / 4, "raised to 8 below"),
        (lambda p: loudness(p, torch.log10, lambda x: x.amax(1, keepdim=True)), "whole picture"),
        (lambda p: loudness(p, torch.log10, lambda x: x.amax(0, keepdim=True)), "whole picture"),
        (lambda p: 4 * loudness(p, torch.log10) - 4, "add 4 and divide by 4"),
        (lambda p: loudness(p, torch.log10) - 1 + 4, "first add 4"),
        (lambda p: (p.log10() + 4) / 4, "minus infinity"),
        (lambda p: loudness(p, torch.log10) + 0.1, "clamp at 1e-10, log10"),
    ],
    "nb16.check_path": [
        (lambda m: sum(map(max, m)), "back in time"),
        (lambda m: sum(map(max, zip(*m, strict=True))), "back in the text"),
        (lambda m: largest(m, ((1, 0), (0, 1))), "at once"),
        (lambda m: largest(m, ((1, 1), (0, 1))), "the moment stays"),
        (lambda m: largest(m, ((1, 1), (1, 0))), "the token stays"),
        (lambda m: largest(m, ((1, 1), (1, 0), (0, 1))) - m[0][0], "first cell"),
        (
            lambda m: -largest([[-x for x in row] for row in m], ((1, 1), (1, 0), (0, 1))),
            "smallest sum",
        ),
        (lambda m: 1000, "it should be"),
        (lambda m: "much", "a number is needed"),
    ],
    "nb16.check_error_rate": [
        (lambda said, meant: 1 - distance(said, meant) / len(meant), "share of words"),
        (lambda said, meant: 5, "has the rate 0"),
        (lambda said, meant: distance(said, meant), "divide it by"),
        (
            lambda said, meant: (
                (
                    sum(a != b for a, b in zip(said, meant, strict=False))
                    + abs(len(said) - len(meant))
                )
                / len(meant)
            ),
            "one mistake, not three",
        ),
        (lambda said, meant: distance(said, meant) / max(len(said), 1), "not by those"),
        (lambda said, meant: min(1.0, distance(said, meant) / len(meant)), "a rate of 2"),
    ],
    "nb17.check_cache_numbers": [
        ((16_384_000, 16_384_000), "fewer heads of keys"),
        ((4_096_000, 16_384_000), "other way round"),
        ((8_192_000, 2_048_000), "keys AND values"),
        ((2_048_000, 512_000), "every layer"),
        ((16_384_000, 1_024_000), "one group"),
        ((16_384, 4_096), "layers times keys and values"),
        ((16_384_000,), "two numbers"),
    ],
    "nb17.check_rms_norm": [
        (lambda x, w: unit(x) * w, "counts from 0"),
        (lambda x, w: unit(x), "weight is missing"),
        (lambda x, w: unit(x - x.mean(-1, keepdim=True)) * (1 + w), "subtracts the mean"),
        (
            lambda x, w: x / (x.pow(2).sum(-1, keepdim=True) + 1e-6).sqrt() * (1 + w),
            "not their sum",
        ),
        (lambda x, w: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + w), "square root"),
        (
            lambda x, w: x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6) * (1 + w),
            "inside the root",
        ),
        (lambda x, w: x / (x.pow(2).mean() + 1e-6).sqrt() * (1 + w), "each position"),
        (lambda x, w: x, "mean of x²"),
    ],
    "nb17.check_min_p": [
        (lambda z, s: hide(z, z.softmax(-1) < s), "the BEST word's"),
        (lambda z, s: hide(z, z < s * z.amax(-1, keepdim=True)), "share of a logit"),
        (lambda z, s: hide(z, z < z.max() + math.log(s)), "each row"),
        (lambda z, s: hide(z, z < z.amax(-1, keepdim=True) - s), "the logarithm"),
        (
            lambda z, s: z.masked_fill(z < z.amax(-1, keepdim=True) + math.log(s), 0.0),
            "hidden words get -inf",
        ),
        (
            lambda z, s: (
                hide(z, z < z.amax(-1, keepdim=True) + math.log(s)).softmax(-1)
                * hide(z, z < z.amax(-1, keepdim=True) + math.log(s))
                .softmax(-1)
                .sum(-1, keepdim=True)
            ),
            "else -inf",
        ),
        (
            lambda z, s: z.softmax(-1).masked_fill(z < z.amax(-1, keepdim=True) + math.log(s), 0.0),
            "not probabilities",
        ),
        (lambda z, s: z, "else -inf"),
        (lambda z, s: "logits", "else -inf"),
    ],
    "nb17.check_leftover": [
        (lambda p, q: p, "draft likes come twice"),
        (lambda p, q: (p - q).clamp(min=0), "divide by the sum"),
        (lambda p, q: p - q, "clamp at 0"),
        (lambda p, q: (q - p).clamp(min=0) / (p - q).clamp(min=0).sum(), "other way round"),
        (lambda p, q: torch.minimum(p, q) / torch.minimum(p, q).sum(), "what was accepted"),
        (lambda p, q: (p - q).clamp(min=0).softmax(-1), "something to every word"),
        (lambda p, q: q, "divided by its sum"),
        (lambda p, q: (p - q).clamp(min=0) / (p - q).clamp(min=0).sum(), "return p"),
    ],
    "nb17.check_bootstrap": [
        (lambda a, b, c: (a[c].mean(-1) < b[c].mean(-1)).float().mean(), "`other` is better"),
        (lambda a, b, c: (a[c].mean(-1) >= b[c].mean(-1)).float().mean(), "a tie"),
        (lambda a, b, c: (a[c] > b[c]).float().mean(), "first the mean"),
        (lambda a, b, c: (a[c].mean(-1) > b[c].mean(-1)).sum(), "not their number"),
        (lambda a, b, c: (a[c] - b[c]).mean(), "mean difference"),
        (lambda a, b, c: float(a.mean() > b.mean()), "the whole test set once"),
        (lambda a, b, c: (a[c.flip(0)].mean(-1) > b[c].mean(-1)).float().mean(), "same draw"),
        (lambda a, b, c: 0.123, "share of rows"),
    ],
}


def unit(x):
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()


def hide(logits, hidden):
    return logits.masked_fill(hidden, -math.inf)


def loudness(power, logarithm, loudest=torch.max):
    log = logarithm(power.clamp(min=1e-10))
    return (log.maximum(loudest(log) - 8) + 4) / 4


def largest(match, steps):
    """The sum of the best path, walked backwards, with these steps alone."""

    def best(t, m):
        if (t, m) == (0, 0):
            return match[0][0]
        if t < 0 or m < 0:
            return -math.inf
        return match[t][m] + max(best(t - a, m - b) for a, b in steps)

    return best(len(match) - 1, len(match[0]) - 1)


def distance(said, meant):
    if not said or not meant:
        return len(said) + len(meant)
    return min(
        distance(said[1:], meant) + 1,
        distance(said, meant[1:]) + 1,
        distance(said[1:], meant[1:]) + (said[0] != meant[0]),
    )


def cut(word, merges, once=False):
    pieces = list("▁" + word)
    for pair in merges:
        out, done = [], False
        for piece in pieces:
            if out and (out[-1], piece) == pair and not (once and done):
                out[-1], done = out[-1] + piece, True
            else:
                out.append(piece)
        pieces = out
    return pieces


def cut_once(word, merges):
    return cut(word, merges, once=True)


def patches(x, p):
    return x.unfold(1, p, p).unfold(2, p, p)


def rotated(x, p):
    cos, sin = math.cos(p), math.sin(p)
    return torch.stack([x[:, 0] * cos - x[:, 1] * sin, x[:, 0] * sin + x[:, 1] * cos], -1)


def looks_at_the_name(subject):
    """A test of code, not of behaviour: it knows the repaired version by its name."""
    assert getattr(subject, "__name__", type(subject).__name__) in ("Transformer", "labels")


for case in CASES:
    WRONG[f"nb12.check_{case}"] = [
        (lambda subject: True, "passes on the bug"),
        (lambda subject: False, "repaired code too"),
        (looks_at_the_name, "harmless refactoring"),
        (lambda subject: subject.no_such_part, "stops with AttributeError"),
    ]


def all_alike(model):
    """Every decoder layer is given the same, whatever it is."""
    contexts = []
    for layer in model.decoder.layers:
        layer.cross_attention.register_forward_pre_hook(lambda m, x: contexts.append(x[1]))
    model(source_ids, target_ids)
    assert all(torch.equal(c, contexts[0]) for c in contexts)


WRONG["nb12.check_layers"].append((all_alike, "relative of this bug: the first encoder layer"))


def softmax_torch(q, k, v):
    return (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).softmax(-1) @ v


def heads_torch(q, k, v, heads):
    parts = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v)]
    return softmax_torch(*parts).transpose(1, 2).flatten(2)


def hears(f, target, source, positions):
    """Whether f keeps the states' shape and hears a change of the memory at each position."""
    states, memory = torch.randn(1, target, 16), torch.randn(1, source, 16)
    before = f(states, memory)
    for position in positions:
        changed = memory.clone()
        changed[0, position] += 1.0
        if torch.equal(f(states, changed), before):
            return False
    return before.shape == states.shape


def pre_norm_layer(x, attend, feed, norm_1, norm_2):
    x = x + attend(norm_1(x), norm_1(x))
    return x + feed(norm_2(x))


for number in (
    "00",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "07",
    "08",
    "09",
    "10",
    "11",
    "13",
    "14",
    "15",
    "16",
    "17",
):
    quiz = importlib.import_module(f"helpers.checks.nb{number}").check_quiz
    WRONG[f"nb{number}.check_quiz"] = [
        *((letter, re.escape(why)) for letter, why in quiz.why.items() if letter != quiz.right),
        ("e", "write one of a, b, c, d"),
    ]


class Broken(Transformer):
    """The series' own model as a learner's, with one thing changed."""

    def __init__(self, config, change=None):
        super().__init__(config)
        if change is not None:
            change(self)


def formula(scale=0.5, axis=-1, merged=True):
    """A learner's attention with a usual mistake, as a method of MultiHeadAttention."""

    def attend(self, x, key, value, mask=None):
        query = split_heads(self.w_q(x), self.num_heads)
        scores = query @ key.transpose(-2, -1) * scale
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        found = scores.softmax(axis).nan_to_num(0.0) @ value
        return self.w_o(merge_heads(found) if merged else found.reshape(x.shape))

    return attend


def attending(**mistake):
    def change(model):
        for module in model.modules():
            if isinstance(module, MultiHeadAttention):
                module.attend = formula(**mistake).__get__(module)

    return lambda config: Broken(config, change)


def without_positions(model):
    model.source_embedding.positions = torch.zeros(32, 16)


def pre_norm(model):
    for module in model.modules():
        if isinstance(module, AddNorm):
            module.norm_first = True


def deaf(model):
    for layer in model.decoder.layers:
        attention, whole = layer.cross_attention, layer.cross_attention.forward
        attention.forward = lambda x, context, mask=None, cache=None, f=whole: f(x, x)


class Renamed(Transformer):
    def __init__(self, config):
        super().__init__(config)
        self.head = self.output
        del self.output


WRONG["nb08.check_from_scratch"] = [
    (attending(scale=1.0), r"encoder\.layers\.0\.self_attention: the scores are not divided"),
    (attending(scale=0.25), "divided by d_k, not by its root"),
    (attending(axis=-2), "softmax runs over the wrong axis"),
    (attending(merged=False), "merged without bringing a word's heads together"),
    (lambda c: Broken(c, without_positions), "source_embedding: √d_model"),
    (lambda c: Broken(c, pre_norm), r"post-norm"),
    (lambda c: Broken(c, deaf), r"decoder\.layers\.0\.cross_attention"),
    (CausalMaskForgotten, r"decoder\.layers\.0\.self_attention"),
    (Renamed, r"there is no weight output\.weight"),
    (lambda c: 3, "should be an nn.Module"),
]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_get_the_diagnosis_that_fits(name, capsys):
    """And no check changes the caller's random numbers, whatever the answer is."""
    module, function = name.split(".")
    check = getattr(importlib.import_module(f"helpers.checks.{module}"), function)
    assert len(WRONG[name]) >= 3
    torch.manual_seed(1), np.random.seed(2), random.seed(3)
    before = random_states()
    assert check(None) is None
    for answer, diagnosis in WRONG[name]:
        capsys.readouterr()
        assert check(answer) is False
        assert random_states() == before, f"{name} changes the caller's random numbers"
        printed = capsys.readouterr().out
        assert re.search(diagnosis, printed), f"expected {diagnosis!r} in {printed!r}"


def with_nine_words(f):
    x, order = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9)
    order[[0, 1, 4]] = order[[4, 0, 1]]
    return not np.allclose(f(x[order]), f(x)[order])


@torch.no_grad()
def through_a_decorator(layer, x):
    return maps_of(layer, x)[0].argmax(-1).tolist()


def in_place(y, memory, source_mask, look_back, look_across, feed, norms):
    y += look_back(y, y, causal_mask(y.shape[1]))
    y = norms[0](y)
    y += look_across(y, memory, source_mask)
    y = norms[1](y)
    return norms[2](y + feed(y))


@pytest.mark.parametrize(
    "name, answer",
    [
        ("nb01.check_order_test", with_nine_words),
        ("nb02.check_strongest", through_a_decorator),
        ("nb03.check_for_torch", lambda ids: [ids.eq(0), ~causal_mask(ids.shape[1])]),
        ("nb04.check_position", lambda t, d: sinusoidal_positions(t + 1, d)[t].tolist()),
        ("nb07.check_decoder_layer", in_place),
        ("nb10.check_greedy", lambda ask, n: tuple(map(float, writes(ask, n)))),
        ("nb16.check_map_shape", [6, 10, 1500]),
        ("nb16.check_moment", lambda seconds: torch.tensor(seconds * 50 + 1e-4).floor()),
        ("nb16.check_compress", lambda power: loudness(power, torch.log10).tolist()),
        ("nb16.check_path", lambda m: np.float64(largest(m, ((1, 1), (1, 0), (0, 1))))),
        (
            "nb16.check_error_rate",
            lambda said, meant: torch.tensor(distance(said, meant) / len(meant)),
        ),
        ("nb17.check_cache_numbers", [8 * 2 * 16 * 64 * 1000, torch.tensor(8 * 2 * 4 * 64 * 1000)]),
        ("nb17.check_min_p", lambda z, s: hide(z, z < z.amax(-1, True) + math.log(s)).tolist()),
        (
            "nb17.check_bootstrap",
            lambda a, b, c: np.mean([float(a[r].mean()) > float(b[r].mean()) for r in c]),
        ),
    ],
)
def test_right_answers_of_another_kind_are_right(name, answer):
    module, function = name.split(".")
    assert getattr(importlib.import_module(f"helpers.checks.{module}"), function)(answer) is True


def test_every_check_of_every_notebook_has_wrong_answers_tested():
    named = set()
    for path in PATHS:
        module = f"nb{path.name[:2]}"
        for stub, _ in exercises(tools.read(path)):
            named.add(f"{module}.{re.search(r'check_[a-z_]+', stub.splitlines()[-1]).group()}")
    assert named == set(WRONG)
