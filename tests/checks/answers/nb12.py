"""Tests for the ten cases, in other forms than the notebook's, and the usual mistakes in them."""

import torch
from torch import nn

from helpers.attention import record_attention
from helpers.cache import Cache
from helpers.lessons.broken_models import CASES, source_ids, target_ids


def maps_of(model, part):
    with record_attention(model) as maps:
        model(source_ids, target_ids)
    return [weights for name, weights in maps.items() if part in name]


def late_word_changed(model, same=torch.allclose, clone=True, evaluate=True):
    if evaluate:
        model.eval()
    changed = target_ids.clone() if clone else target_ids
    changed[:, 3] = 20
    assert same(model(source_ids, target_ids)[:, :3], model(source_ids, changed)[:, :3])


def by_lengths(model):
    """A prefix gives the same logits alone as at the beginning of the whole."""
    model.eval()
    whole = model(source_ids, target_ids)
    for length in (1, 2, 3):
        part = model(source_ids, target_ids[:, :length])
        torch.testing.assert_close(part, whole[:, :length])


def by_gradient(model):
    model.eval()
    memory, mask = model.encode(source_ids)
    heard = []
    model.target_embedding.register_forward_hook(lambda m, i, output: heard.append(output))
    logits = model.decode(target_ids, memory, mask)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), heard[0])
    assert gradient[:, 1:].abs().max() == 0


def one_target_word(model):
    model.eval()
    memory, mask = model.encode(source_ids)
    other, first = memory.clone(), target_ids[:, :1]
    other[0, -1] += 1.0
    return not torch.allclose(
        model.decode(first, memory, mask)[0], model.decode(first, other, mask)[0]
    )


def sees_all_words(model):
    model.eval()
    for weights in maps_of(model, "cross_attention"):
        assert (weights[0] > 0).all()


def both_halves(model, padding=True, words=True):
    model.eval()
    for weights in maps_of(model, "cross_attention"):
        real = (source_ids != 0)[:, None, None].expand_as(weights)
        if padding:
            assert weights[~real].sum() == 0
        if words:
            assert (weights[real] > 0).all()


def halves_by_memory(model):
    """Not one look at a map: padding of the memory is not heard, every word of it is."""
    model.eval()
    memory, mask = model.encode(source_ids)
    before = model.decode(target_ids, memory, mask)
    for place in range(source_ids.size(1)):
        other = memory.clone()
        other[1, place] += 1.0
        moved = not torch.allclose(before[1], model.decode(target_ids, other, mask)[1])
        assert moved == bool(source_ids[1, place] != 0)


def silenced(model, clone=True, evaluate=True, same=torch.allclose):
    if evaluate:
        model.eval()
    for layer in model.decoder.layers:
        nn.init.zeros_(layer.cross_attention.w_o.weight)
        nn.init.zeros_(layer.cross_attention.w_o.bias)
    before = model(source_ids, target_ids)
    other = source_ids.clone() if clone else source_ids
    other[:, 0] = 20
    assert same(before, model(other, target_ids))


def silenced_by_hooks(model):
    model.eval()
    for layer in model.decoder.layers:
        layer.cross_attention.register_forward_hook(lambda m, i, output: 0 * output)
    other = source_ids.flip(0)
    assert torch.allclose(model(source_ids, target_ids), model(other, target_ids))


def contexts_of(model):
    contexts = []
    for layer in model.decoder.layers:
        layer.cross_attention.register_forward_pre_hook(lambda m, x: contexts.append(x[1]))
    model(source_ids, target_ids)
    return contexts


def given_the_final(model):
    model.eval()
    contexts, finals = [], []
    model.encoder.layers[-1].register_forward_hook(lambda m, i, output: finals.append(output))
    contexts = contexts_of(model)
    final = model.encoder.norm(finals[-1])
    assert len(contexts) == 2 and all(torch.allclose(context, final) for context in contexts)


def last_encoder_layer_matters(model):
    """Every cross-attention's output moves if the last encoder layer is silenced."""
    model.eval()
    heard = []
    for layer in model.decoder.layers:
        layer.cross_attention.register_forward_hook(lambda m, i, output: heard.append(output))
    model(source_ids, target_ids)
    model.encoder.layers[-1].register_forward_hook(lambda m, i, output: 0 * output)
    model(source_ids, target_ids)
    return not torch.allclose(heard[0], heard[2])


def all_alike(model):
    """Every decoder layer is given the same, whatever it is."""
    contexts = contexts_of(model)
    assert all(torch.equal(context, contexts[0]) for context in contexts)


def source_changed(model, clone=True, evaluate=True):
    if evaluate:
        model.eval()
    before = model(source_ids, target_ids)
    other = source_ids.clone() if clone else source_ids
    other[:, 0] = 20
    assert not torch.allclose(before, model(other, target_ids))


def sources_swapped(model):
    model.eval()
    one = model(source_ids, target_ids[:1].expand(2, -1))
    return (one[0] - one[1]).abs().max() > 1e-6


def labelled(label):
    assert label(["a", "b", "c"], ["x", "y"]) == (["x", "y"], ["a", "b", "c"])


def label_lengths(label):
    rows, columns = label(["a"] * 5, ["x"] * 3)
    return [len(rows), len(columns)] == [3, 5]


def row_sums(model, same=torch.allclose, part="decoder.layers.0.self_attention"):
    model.eval()
    for weights in maps_of(model, part):
        sums = weights.sum(-1)
        assert same(sums, torch.ones_like(sums))


def exactly_one(model):
    model.eval()
    for weights in maps_of(model, "decoder.layers.0.self_attention"):
        assert (weights.sum(-1) == 1).all()


def start_is_heard(model):
    model.eval()
    for weights in maps_of(model, "decoder.layers.1.self_attention"):
        assert (weights[..., 0] > 0).all()


def twice(model, evaluate=True):
    if evaluate:
        model.eval()
    assert torch.equal(model(source_ids, target_ids), model(source_ids, target_ids))


def mean_of_many(model):
    model.eval()
    scores = {model(source_ids, target_ids).sum().item() for _ in range(3)}
    return len(scores) == 1


def cached(model, steps=3, same=torch.allclose, evaluate=True):
    if evaluate:
        model.eval()
    memory, source_mask = model.encode(source_ids)
    cache = Cache(len(model.decoder.layers))
    for t in range(steps):
        step = model.decode(target_ids[:, t : t + 1], memory, source_mask, cache)
        whole = model.decode(target_ids[:, : t + 1], memory, source_mask)
    assert same(step[:, -1], whole[:, -1])


def in_two_pieces(model):
    model.eval()
    memory, source_mask = model.encode(source_ids)
    cache = Cache(len(model.decoder.layers))
    parts = [
        model.decode(target_ids[:, part], memory, source_mask, cache)
        for part in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(
        torch.cat(parts, 1), model.decode(target_ids, memory, source_mask), rtol=0, atol=1e-9
    )


def looks_at_the_name(subject):
    """A test of code, not of behaviour: it knows the repaired version by its name."""
    assert getattr(subject, "__name__", type(subject).__name__) in ("Transformer", "labels")


def bitwise(a, b):
    return bool((a == b).all())


RIGHT = {
    "check_case_1": [
        by_lengths,
        by_gradient,
        lambda model: late_word_changed(model, torch.equal),
        late_word_changed,
    ],
    "check_case_2": [one_target_word, sees_all_words],
    "check_case_3": [both_halves, halves_by_memory],
    "check_case_4": [silenced, silenced_by_hooks, lambda model: silenced(model, same=torch.equal)],
    "check_case_5": [given_the_final, last_encoder_layer_matters],
    "check_case_6": [source_changed, sources_swapped],
    "check_case_7": [labelled, label_lengths],
    "check_case_8": [row_sums, start_is_heard],
    "check_case_9": [twice, mean_of_many],
    "check_case_10": [cached, in_two_pieces, lambda model: cached(model, steps=2)],
}

# What every case's check must say about a test that isn't one.
NO_TESTS = [
    (lambda subject: True, "passes on the bug"),
    (lambda subject: None, "passes on the bug"),
    (lambda subject: False, "repaired code as well"),
    (looks_at_the_name, "harmless refactoring"),
    (lambda subject: subject.no_such_part, "stops with AttributeError"),
    (lambda subject: torch.ones(3) > 0, "stops with RuntimeError"),
    (True, "a test function is needed"),
]
EVAL, ALLCLOSE = r"begin your test with model\.eval", r"compare with torch\.allclose"
WRONG = {f"check_case_{number}": [*NO_TESTS] for number in CASES}
WRONG["check_case_1"] += [
    (lambda model: late_word_changed(model, clone=False), r"target_ids\.clone\(\)"),
    (lambda model: late_word_changed(model, evaluate=False), EVAL),
]
WRONG["check_case_3"] += [
    (lambda model: both_halves(model, words=False), "relative.*at nothing at all"),
    (lambda model: both_halves(model, padding=False), "relative.*padding as well as"),
]
WRONG["check_case_4"] += [
    (lambda model: silenced(model, clone=False), r"source_ids\.clone\(\)"),
    (lambda model: silenced(model, evaluate=False), EVAL),
]
WRONG["check_case_5"] += [(all_alike, "relative.*the first encoder layer")]
WRONG["check_case_6"] += [
    (lambda model: not hasattr(model, "wiring"), "relative.*reads zeros"),
    (lambda model: source_changed(model, clone=False), r"source_ids\.clone\(\)"),
    (lambda model: source_changed(model, evaluate=False), EVAL),
]
WRONG["check_case_7"] += [
    (lambda label: label(["a"], ["x"]) is not None, "unequal length"),
    (lambda label: len(label("ab", "xy")[0]) == 2, "unequal length"),
]
WRONG["check_case_8"] += [
    (exactly_one, ALLCLOSE),
    (lambda model: row_sums(model, torch.equal), ALLCLOSE),
    (lambda model: row_sums(model, bitwise), ALLCLOSE),
    (lambda model: row_sums(model, part="cross_attention"), "passes on the bug"),
]
WRONG["check_case_9"] += [(lambda model: twice(model, evaluate=False), EVAL)]
WRONG["check_case_10"] += [
    (lambda model: cached(model, steps=1), "from the second step on"),
    (lambda model: cached(model, same=torch.equal), ALLCLOSE),
    (lambda model: cached(model, same=bitwise), ALLCLOSE),
    (lambda model: cached(model, evaluate=False), EVAL),
]
