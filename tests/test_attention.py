"""attention.py: the formula, the heads, the checks of their input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from helpers.attention import (
    MultiHeadAttention,
    attention,
    fused_attention,
    merge_heads,
    record_attention,
    split_heads,
    use_attention,
)
from helpers.lessons.broken_layers import (
    KeysAsValues,
    MergedWithoutTranspose,
    ScaledByModelWidth,
)
from helpers.masks import causal_mask, padding_mask, to_attn_mask, to_key_padding_mask
from tests.support import (
    D_MODEL,
    EXACT,
    SOURCE_IDS,
    TARGET_IDS,
    B,
    H,
    S,
    T,
    attention_twin,
    random,
    tiny_model,
)

D = 6  # d_k of a single head
FUNCTIONS = [fused_attention, attention]


def attention_in_loops(query, key, value, mask):
    """The formula word by word in NumPy, for 2-D inputs: an independent twin."""
    output = np.zeros((len(query), value.shape[1]))
    for t, q in enumerate(query):
        allowed = [s for s in range(len(key)) if mask[t, s]]
        exponentials = {s: math.exp(sum(q * key[s]) / math.sqrt(len(q))) for s in allowed}
        for s in allowed:
            output[t] += exponentials[s] / sum(exponentials.values()) * value[s]
    return output


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 7), st.integers(1, 5))
def test_attention_equals_the_formula_in_loops_with_any_mask(seed, target, source, d_k):
    query, key = random(target, d_k, seed=seed), random(source, d_k, seed=seed + 1)
    value = random(source, 3, seed=seed + 2)
    mask = random(target, source, seed=seed + 3) > 0
    output, _ = attention(query, key, value, mask)
    expected = attention_in_loops(query.numpy(), key.numpy(), value.numpy(), mask.numpy())
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_rows_sum_to_one_or_are_all_zero(seed):
    mask = random(B, 1, T, S, seed=seed) > 0.5
    query, key, value = random(B, H, T, D), random(B, H, S, D, seed=1), random(B, H, S, 7, seed=2)
    _, weights = attention(query, key, value, mask)
    sums = weights.sum(-1)
    torch.testing.assert_close(sums, mask.any(-1).expand(B, H, T).double(), **EXACT)
    assert (weights.masked_select(~mask) == 0).all()


def test_a_row_that_may_attend_to_nothing_is_zero_and_has_finite_gradients():
    query, key, value = (random(T, D, seed=i).requires_grad_() for i in range(3))
    mask = torch.ones(T, T, dtype=torch.bool)
    mask[1] = False
    output, weights = attention(query, key, value, mask)
    output.sum().backward()
    assert (output[1] == 0).all() and (weights[1] == 0).all()
    for tensor in (query, key, value):
        assert tensor.grad.isfinite().all() and tensor.grad.abs().sum() > 0


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(S)), st.permutations(range(T)))
def test_order_of_keys_does_not_matter_and_order_of_queries_is_kept(keys, queries):
    query, key, value = random(T, D), random(S, D, seed=1), random(S, 4, seed=2)
    output, weights = attention(query, key, value)
    moved, moved_weights = attention(query[list(queries)], key[list(keys)], value[list(keys)])
    torch.testing.assert_close(moved, output[list(queries)], **EXACT)
    torch.testing.assert_close(moved_weights, weights[list(queries)][:, list(keys)], **EXACT)


def masks() -> dict[str, torch.Tensor | None]:
    return {"none": None, "padding": padding_mask(SOURCE_IDS)}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("kind", ["none", "padding"])
@pytest.mark.parametrize("cross", [True, False])
def test_multi_head_attention_equals_torch_forward_and_backward(cross, kind, function):
    torch.manual_seed(0)
    ours = MultiHeadAttention(D_MODEL, H).double()
    ours.attention = function
    twin = attention_twin(ours)
    x = random(B, T if cross else S, D_MODEL).requires_grad_()
    context = random(B, S, D_MODEL, seed=1).requires_grad_() if cross else x
    mask = masks()[kind]
    output = ours(x, context, mask)
    output.square().sum().backward()
    gradients = [x.grad.clone(), context.grad.clone(), ours.w_k.weight.grad, ours.w_v.weight.grad]
    x.grad = context.grad = None
    hidden = None if mask is None else to_key_padding_mask(mask)
    expected, _ = twin(x, context, context, key_padding_mask=hidden)
    expected.square().sum().backward()
    torch.testing.assert_close(output, expected, **EXACT)
    w_k, w_v = twin.in_proj_weight.grad[D_MODEL : 2 * D_MODEL], twin.in_proj_weight.grad[-D_MODEL:]
    for got, want in zip(gradients, [x.grad, context.grad, w_k, w_v], strict=True):
        torch.testing.assert_close(got, want, **EXACT)


def test_causal_mask_equals_torch():
    torch.manual_seed(0)
    ours = MultiHeadAttention(D_MODEL, H).double()
    x, mask = random(B, T, D_MODEL), causal_mask(T)
    expected, _ = attention_twin(ours)(x, x, x, attn_mask=to_attn_mask(mask))
    torch.testing.assert_close(ours(x, x, mask), expected, **EXACT)


@pytest.mark.parametrize("mutant", [ScaledByModelWidth, KeysAsValues, MergedWithoutTranspose])
def test_comparison_with_torch_rejects_mutants(mutant):
    torch.manual_seed(0)
    broken = mutant(D_MODEL, H).double()
    x, context = random(B, T, D_MODEL), random(B, S, D_MODEL, seed=1)
    expected, _ = attention_twin(broken)(x, context, context)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(broken(x, context), expected, **EXACT)


def test_fused_kernel_and_formula_agree_where_a_row_is_masked_out():
    torch.manual_seed(0)
    module = MultiHeadAttention(D_MODEL, H).double()
    x, context = random(B, T, D_MODEL), random(B, S, D_MODEL, seed=1)
    mask = random(B, 1, T, S, seed=2) > 0
    mask[0, 0, 1] = False
    fused = module(x, context, mask)
    assert module.attention is fused_attention
    module.attention = attention
    torch.testing.assert_close(fused, module(x, context, mask), **EXACT)
    torch.testing.assert_close(fused[0, 1], module.w_o.bias, **EXACT)


def test_keys_and_values_computed_once_give_the_same_output():
    module = MultiHeadAttention(D_MODEL, H).double()
    x, context = random(B, T, D_MODEL), random(B, S, D_MODEL, seed=1)
    key, value = module.keys_values(context)
    assert torch.equal(module.attend(x, key, value), module(x, context))


def test_merge_is_the_inverse_of_split():
    x = random(B, S, D_MODEL)
    assert split_heads(x, H).shape == (B, H, S, D_MODEL // H)
    assert torch.equal(merge_heads(split_heads(x, H)), x)
    assert torch.equal(split_heads(x, H)[:, 1], x[..., 4:8])


def test_the_fused_kernel_keeps_no_weights_and_the_formula_does():
    query, key, value = random(B, H, T, D), random(B, H, S, D, seed=1), random(B, H, S, 7, seed=2)
    output, weights = fused_attention(query, key, value)
    by_formula, shown = attention(query, key, value)
    torch.testing.assert_close(output, by_formula, **EXACT)
    assert weights is None and shown.shape == (B, H, T, S)


def test_use_attention_reaches_every_layer_of_a_model():
    def silent(query, key, value, mask=None):
        return torch.zeros_like(query), None

    model = tiny_model()
    layers = [m for m in model.modules() if isinstance(m, MultiHeadAttention)]
    assert len(layers) == 2 + 2 * 3
    use_attention(model, silent)
    assert all(layer.attention is silent for layer in layers)
    changed = SOURCE_IDS.clone()
    changed[:, 0] = 20
    assert torch.equal(model(SOURCE_IDS, TARGET_IDS), model(changed, TARGET_IDS))  # nobody looks
    use_attention(model, attention)
    assert not torch.equal(model(SOURCE_IDS, TARGET_IDS), model(changed, TARGET_IDS))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_recording_gives_the_weights_in_use_and_leaves_no_trace(function):
    module = MultiHeadAttention(D_MODEL, H).double()
    module.attention = function
    x, context = random(B, T, D_MODEL), random(B, S, D_MODEL, seed=1)
    before = module(x, context)
    with record_attention(nn.ModuleDict({"a": module})) as maps:
        inside = module(x, context)
    weights = maps["a"]
    assert weights.shape == (B, H, T, S) and not weights.requires_grad
    key, value = module.keys_values(context)
    rebuilt = module.w_o(merge_heads(weights @ value))
    torch.testing.assert_close(rebuilt, inside, **EXACT)
    torch.testing.assert_close(before, inside, **EXACT)
    assert module.attention is function


def test_recording_watches_the_function_that_is_in_use():
    """Not the formula in its place: a model that attends otherwise shows what it really does."""

    def evenly(query, key, value, mask=None):
        shape = (*query.shape[:-1], key.size(-2))
        weights = torch.full(shape, 1 / key.size(-2), dtype=query.dtype)
        return weights @ value, weights

    module = MultiHeadAttention(D_MODEL, H).double()
    module.attention = evenly
    x, context = random(B, T, D_MODEL), random(B, S, D_MODEL, seed=1)
    with record_attention(module) as maps:
        inside = module(x, context)
    assert (maps["attention"] == 1 / S).all() and torch.equal(inside, module(x, context))
    assert module.attention is evenly


def test_recording_ends_even_when_the_model_fails():
    module = MultiHeadAttention(D_MODEL, H)
    with pytest.raises(ValueError, match="x must be"), record_attention(module):
        module(torch.zeros(1, 2, 3), torch.zeros(1, 2, D_MODEL))
    assert module.attention is fused_attention


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_recording_may_be_nested_and_each_block_puts_back_what_it_found(function, fails):
    model = tiny_model()
    use_attention(model, function)
    layers = [m for m in model.modules() if isinstance(m, MultiHeadAttention)]
    with record_attention(model) as outer:
        recording = [layer.attention for layer in layers]
        try:
            with record_attention(model) as inner:
                model(SOURCE_IDS, TARGET_IDS)
                if fails:
                    raise RuntimeError
        except RuntimeError:
            assert fails
        assert [layer.attention for layer in layers] == recording
        assert inner.keys() == outer.keys() and len(inner) == len(layers)
        assert all(torch.equal(inner[name], outer[name]) for name in inner)
        last = {name: weights.clone() for name, weights in inner.items()}
        model(SOURCE_IDS, TARGET_IDS.flip(0))
        assert not torch.equal(
            outer["decoder.layers.0.self_attention"], last["decoder.layers.0.self_attention"]
        )
        assert all(torch.equal(inner[name], last[name]) for name in inner)  # that block has ended
    assert all(layer.attention is function for layer in layers)


def test_one_head_is_enough_and_so_is_one_dimension_for_each():
    for d_model, num_heads in ((6, 1), (1, 1), (3, 3)):
        x = torch.randn(1, 2, d_model)
        assert MultiHeadAttention(d_model, num_heads)(x, x).shape == x.shape


@pytest.mark.parametrize(
    "d_model, num_heads", [(16, 3), (16, 0), (0, 1), (10, 4), (-6, 3), (6, -3)]
)
def test_heads_that_do_not_divide_are_refused(d_model, num_heads):
    with pytest.raises(ValueError, match=f"d_model={d_model}, num_heads={num_heads}"):
        MultiHeadAttention(d_model, num_heads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_mask_that_is_not_boolean_is_refused(dtype, function):
    module = MultiHeadAttention(D_MODEL, H)
    module.attention = function
    x = torch.zeros(B, T, D_MODEL)
    with pytest.raises(TypeError, match="mask must be a boolean tensor.*got torch"):
        module(x, x, torch.ones(T, T, dtype=dtype))


@pytest.mark.parametrize("shape", [(T, S + 1), (T + 1, S), (3, 1, T, S), (1, 1, 1, T, S)])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_mask_that_does_not_broadcast_is_refused(shape, function):
    module = MultiHeadAttention(D_MODEL, H)
    module.attention = function
    with pytest.raises(ValueError, match="mask must broadcast"):
        module(
            torch.zeros(B, T, D_MODEL),
            torch.zeros(B, S, D_MODEL),
            torch.ones(shape, dtype=torch.bool),
        )


@pytest.mark.parametrize(
    "x, context, message",
    [
        ((B, T, 8), (B, S, D_MODEL), "x must be"),
        ((B, T, D_MODEL), (B, S, 8), "context must be"),
        ((T, D_MODEL), (B, S, D_MODEL), "x must be"),
        ((B, T, D_MODEL), (3, S, D_MODEL), "same batch"),
    ],
)
def test_states_of_wrong_shape_are_refused(x, context, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(D_MODEL, H)(torch.zeros(x), torch.zeros(context))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "query, key, value, message",
    [
        ((T, 4), (S, 5), (S, 4), "query and key"),
        ((T, 4), (S, 4), (S + 1, 4), "key and value"),
        ((4,), (S, 4), (S, 4), "query and key need the shapes"),
        ((T, 4), (4,), (S, 4), "query and key need the shapes"),
        ((T, 4), (S, 4), (4,), "query and key need the shapes"),
    ],
)
def test_attention_refuses_shapes_that_do_not_fit(query, key, value, message, function):
    with pytest.raises(ValueError, match=message):
        function(torch.zeros(query), torch.zeros(key), torch.zeros(value))


@pytest.mark.parametrize("wrong", [[[True]], "causal", 1])
def test_a_mask_that_is_no_tensor_is_named_by_its_type(wrong):
    query = torch.zeros(T, D)
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=f"mask must be a boolean tensor.*, got {kind}$"):
        attention(query, query, query, wrong)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_while_recording_masks_hide_and_the_output_is_the_same(function):
    model = tiny_model()
    use_attention(model, function)
    expected = model(SOURCE_IDS, TARGET_IDS)
    with record_attention(model) as maps:
        torch.testing.assert_close(model(SOURCE_IDS, TARGET_IDS), expected, **EXACT)
    padded = SOURCE_IDS == 0
    for name, weights in maps.items():
        if "decoder.layers.0.self" in name:
            assert (weights.triu(1) == 0).all() and (weights.tril() > 0).sum() == 2 * H * 10
        if "cross" in name or "encoder" in name:
            assert (weights.transpose(1, 3)[padded] == 0).all()
            assert (weights.transpose(1, 3)[~padded] > 0).all()


def test_use_attention_touches_nothing_but_attention():
    model = tiny_model()
    use_attention(model, attention)
    others = [m for m in model.modules() if not isinstance(m, MultiHeadAttention)]
    assert others and not any("attention" in vars(module) for module in others)


def test_recording_a_layer_alone_calls_it_attention():
    module = MultiHeadAttention(D_MODEL, H).double()
    with record_attention(module) as maps:
        module(random(B, T, D_MODEL), random(B, S, D_MODEL, seed=1))
    assert list(maps) == ["attention"] and maps["attention"].shape == (B, H, T, S)


def test_a_model_without_attention_cannot_be_recorded():
    with (
        pytest.raises(
            ValueError,
            match=r"model must contain helpers\.attention\.MultiHeadAttention, got torch\.nn",
        ),
        record_attention(nn.Linear(2, 2)),
    ):
        pass


def test_a_layer_that_keeps_no_weights_cannot_be_recorded_and_is_named():
    model = nn.ModuleDict({"a": MultiHeadAttention(D_MODEL, H).double()})
    without = lambda *given: (attention(*given)[0], None)  # as a kernel of somebody's own
    use_attention(model, without)
    x = random(B, T, D_MODEL)
    with pytest.raises(ValueError, match="'a' keeps no weights"), record_attention(model):
        model["a"](x, x)
    assert model["a"].attention is without
