"""Checks of notebook 08, the wiring; at the end the one for a whole Transformer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from helpers.attention import merge_heads, split_heads
from helpers.checks import Wrong, ask, choice, close, exercise, expect, expect_like
from helpers.checks.reading import number, numbers, verdict
from helpers.special_ids import BOS, PAD
from helpers.transformer import Transformer, TransformerConfig


@exercise("8.1")
def check_arrows(answer: Any) -> str:
    """Predict: arrows from encoder to decoder with 6 + 6 layers, and distinct tensors on them."""
    arrows, tensors = numbers(answer, "arrows", "different tensors")
    if (arrows, tensors) == (1, 6):
        raise Wrong("the other way round: first the arrows, then the tensors on them")
    if arrows == 1:
        raise Wrong("the small diagram draws one arrow, but there is a cross-attention per layer")
    if arrows in (12, 36):
        raise Wrong("count decoder layers: each gets one memory, from which it makes K and V")
    if tensors == 6 and arrows == 6:
        raise Wrong("6 tensors would be layer i to layer i; which encoder output travels?")
    if (arrows, tensors) == (6, 2):
        raise Wrong("keys and values are made at the arrow's end; what travels on it is the memory")
    if (arrows, tensors) != (6, 1):
        raise Wrong("one arrow into each decoder layer, and the last encoder output on all of them")
    return "six arrows, one tensor"


@exercise("8.2")
def check_parameter_count(answer: Any) -> str:
    """Implement: parameters of a decoder layer for any d_model and d_ff."""

    def count(attentions: int = 2, norms: int = 3, biases: int = 1, maps: int = 4) -> Callable:
        def parameters(d_model: int, d_ff: int) -> int:
            attention = maps * (d_model * d_model + biases * d_model)
            feed_forward = 2 * d_model * d_ff + biases * (d_model + d_ff)
            return attentions * attention + feed_forward + norms * 2 * d_model

        return parameters

    expect_like(
        answer,
        count(),
        [(13, 29), (512, 2048)],
        {
            "this is an encoder layer: a decoder layer has a second attention and a norm": (
                count(attentions=1, norms=2)
            ),
            "a decoder layer has two attentions": count(attentions=1),
            "the biases of the linear maps are missing": (
                count(biases=0),
                count(biases=0, norms=0),
            ),
            "a decoder layer has three norms, one around each sub-layer": (
                count(norms=2),
                count(norms=1),
            ),
            "the norms are missing: each has a weight and a bias of d_model numbers": (
                count(norms=0)
            ),
            "a norm has a weight AND a bias": lambda d, f: count()(d, f) - 3 * d,
            "W_O is missing in the attentions: four maps each": count(maps=3),
            "the feed-forward has two linear maps: up to d_ff and down again": (
                lambda d, f: count()(d, f) - f * d - d
            ),
        },
        "two attentions, one feed-forward, three norms: add them up",
        read=number,
        tolerance=1e-9,
    )
    return "4,204,032 at the paper's size"


@exercise("8.3")
def check_wiring_test(answer: Any) -> str:
    """Write a test: one that tells a right wiring from layer-i-to-layer-i."""
    first, second, memory = torch.ones(1), torch.full((1,), 2.0), torch.zeros(1)
    cases = {
        "right": ([memory] * 3, memory, 3, True),
        "right, with two layers": ([memory] * 2, memory, 2, True),
        "layer i to layer i": ([first, second, memory], memory, 3, False),
        "the first layer only": ([memory, first, second], memory, 3, False),
        "the last layer only": ([memory], memory, 3, False),
        "an early encoder layer to all": ([first] * 3, memory, 3, False),
        "no layer at all": ([], memory, 3, False),
        "the middle layer gets another": ([memory, first, memory], memory, 3, False),
    }
    for name, (received, final, layers, right) in cases.items():
        got = verdict(answer, received, final, layers)
        if got != right:
            says = "accepts" if got else "rejects"
            raise Wrong(f"your test {says} the wiring '{name}'")
    return "every layer, and the very same encoding"


check_quiz = choice(
    "8.4",
    "d",
    {
        "a": "parameters do not depend on lengths",
        "b": "its length is the target's; the source's is gone after the weighted average",
        "c": "that is target by target",
        "d": "(target, 7) becomes (target, 14), and the encoder's own maps grow both ways",
    },
)

# ---- From an empty file --------------------------------------------------------------------

SMALL = TransformerConfig(
    vocab_size=23,
    d_model=16,
    num_heads=4,
    d_ff=24,
    num_encoder_layers=2,
    num_decoder_layers=3,
    dropout=0.0,
    max_length=32,
)
CLOSE = 1e-5  # tables of positions may be rounded to float32; every mistake is far larger
WITHIN = {"w_q", "w_k", "w_v", "w_o", "w_1", "w_2", "norm", "token", "dropout"}  # told as a whole
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [5, 6, 7, PAD, PAD]])
TARGET = torch.tensor([[BOS, 11, 12, 13], [BOS, 14, 15, PAD]])
POST_NORM = "post-norm, norm(x + sublayer(x)), of self, cross, feed-forward"


@exercise("8.5")
def check_from_scratch(answer: Any) -> str:
    """Open: a whole Transformer, compared part by part; the first part that differs is told."""
    if isinstance(answer, nn.Module):
        raise Wrong("pass the class itself, MyTransformer, not a model made from it")
    reference = known_model()
    mine = ask(answer, SMALL)
    if not isinstance(mine, nn.Module):
        raise Wrong(f"MyTransformer(config) must be an nn.Module, got {type(mine).__name__}")
    mine = mine.double().eval()
    load_by_name(mine, reference)
    for source, target in ((SOURCE, TARGET), (SOURCE[:, :3], TARGET[:, :2])):
        with torch.no_grad(), listening(reference) as theirs:
            wanted = reference(source, target)
        with torch.no_grad(), listening(mine) as own:
            logits = ask(mine, source, target)
        for name, (inputs, output) in theirs.items():
            if name not in own or name.rpartition(".")[2] in WITHIN:
                continue
            real = (source if name.startswith(("source", "encoder")) else target) != PAD
            if not close(told(own[name][1], real), told(output, real), CLOSE):
                found = diagnosis(name, inputs, own, real)
                raise Wrong(f"the first part that differs is {name}: {found}")
        logits, wanted = told(logits, target != PAD), told(wanted, target != PAD)
        expect(logits, wanted, "every part is right, the logits aren't: what comes last?", CLOSE)
    return "every part equals the library's, and so does the whole: you have built a Transformer"


def told(output: Any, real: Tensor) -> Any:
    """A part's output at real tokens; whatever comes after a sentence's end is ignored."""
    if isinstance(output, Tensor) and output.shape[:2] == real.shape:
        return output[real]
    return output


def alike(one: Any, other: Any) -> bool:
    """Close, where a NaN in both counts as equal: the same mistake makes the same NaN."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.shape != other.shape:
        return False
    return torch.allclose(one.double(), other.double(), rtol=CLOSE, atol=CLOSE, equal_nan=True)


def known_model() -> Transformer:
    """The reference, with norms and biases away from 1 and 0, so that a missing one shows."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model = Transformer(SMALL).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    torch.set_rng_state(state)
    return model


def load_by_name(mine: nn.Module, reference: Transformer) -> None:
    """The reference's weights into the learner's model, or Wrong naming what is missing."""
    own, theirs = mine.state_dict(), reference.state_dict()
    for name, tensor in theirs.items():
        if name not in own:
            raise Wrong(f"there is no weight {name}: name the parts as the series does")
        if own[name].shape != tensor.shape:
            shapes = f"{tuple(own[name].shape)}, not {tuple(tensor.shape)}"
            raise Wrong(f"the weight {name} has the shape {shapes}")
    parameters = dict(mine.named_parameters(remove_duplicate=False))
    extra = sorted(parameters.keys() - theirs.keys())
    if extra:
        raise Wrong(f"there is a weight that the series' model does not have: {extra[0]}")
    for name in theirs.keys() - parameters.keys():
        raise Wrong(f"{name} should be a parameter, in an nn.Linear, nn.Embedding or nn.LayerNorm")
    with torch.no_grad():
        for name, tensor in theirs.items():
            parameters[name].copy_(tensor)


@contextmanager
def listening(model: nn.Module) -> Iterator[dict[str, tuple]]:
    """{name: (inputs, output)} of each part's first call, in the order in which they finish."""
    heard: dict[str, tuple] = {}

    def note(name: str, inputs: tuple, output: Any) -> None:
        heard.setdefault(name, (inputs, output))  # and return nothing, or the output would change

    hooks = [
        module.register_forward_hook(
            lambda m, x, named, y, name=name: note(name, (*x, *named.values()), y),
            with_kwargs=True,
        )
        for name, module in model.named_modules()
        if name
    ]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def diagnosis(name: str, inputs: tuple, own: dict, real: Tensor) -> str:
    """Which usual mistake this part looks like, or what to compare."""
    last = name.rpartition(".")[2]
    if last.endswith("embedding"):
        return embedding_diagnosis(name, inputs, own, real)
    if last.endswith("attention"):
        return attention_diagnosis(name, inputs, own, real)
    if last == "feed_forward":
        return "W_2 · relu(W_1 x)"
    if "add_norm" in name or last.isdigit():
        return POST_NORM
    return "compare what goes in and what it does with it"


def embedding_diagnosis(name: str, inputs: tuple, own: dict, real: Tensor) -> str:
    """Which usual mistake an embedding looks like: tokens and positions, put together wrongly."""
    layer: Any = known_model().get_submodule(name)
    token, mine = layer.token(inputs[0]), told(own[name][1], real)
    root = SMALL.d_model**0.5
    places = layer(inputs[0]) - token * root
    wrong = {
        "the token's row isn't multiplied by √d_model": token + places,
        "the positions aren't added": token * root,
        "neither √d_model nor the positions are in it": token,
        "√d_model belongs to the token alone, not to the positions": (token + places) * root,
        "it is multiplied by d_model; the factor is its square root": token * root**2 + places,
    }
    for what, tensor in wrong.items():
        if alike(mine, told(tensor, real)):
            return what
    return "√d_model times the token's row, plus sin, cos, sin, cos … of its position"


def attention_diagnosis(name: str, inputs: tuple, own: dict, real: Tensor) -> str:
    """Which usual mistake an attention looks like, NaN included."""
    layer = known_model().get_submodule(name)
    x, context, mask = (*inputs, None)[:3]
    if not own[name][0] or not close(told(own[name][0][0], real), told(x, real), CLOSE):
        return f"its first input, x, is not the right one; the order is {POST_NORM}"
    second = own[name][0][1] if len(own[name][0]) > 1 else None
    if isinstance(second, Tensor) and second.dim() == 3 and not close(second, context, CLOSE):
        return "its second input, what it looks at, is not the right one"
    wrong: dict[str, dict[str, Any]] = {
        "the scores are not divided by √d_k": dict(scale=1.0),
        "the scores are divided by d_k, not by its root": dict(scale=0.25),
        "softmax runs over the wrong axis": dict(axis=-2),
        "the heads are merged without bringing a word's heads together": dict(merge=False),
        "the heads are split without bringing a head's words together": dict(split=False),
    }
    if mask is not None:
        wrong |= {
            "the mask is missing": dict(mask=None),
            "the mask is inverted: True = may attend": dict(mask=~mask),
        }
    if name.startswith("decoder") and name.endswith("self_attention") and mask is not None:
        padding = mask[..., -1:, :]  # the last row sees every word: padding is all it hides
        past = torch.ones_like(mask[:1]).tril()
        wrong |= {
            "the causal mask is missing, so that words see the future": dict(mask=padding),
            "the triangle is the wrong way up: rows are queries": dict(mask=past.mT & padding),
            "the triangle leaves out the diagonal: a word may look at itself": dict(
                mask=mask.tril(-1)
            ),
        }
    if name.endswith("cross_attention"):
        triangle = torch.ones(x.size(1), context.size(1), dtype=torch.bool).tril()
        wrong["it has a causal mask; only the source's padding is hidden here"] = dict(
            mask=triangle & (True if mask is None else mask)
        )
    shown = told(own[name][1], real)
    for what, change in wrong.items():
        settings = dict(scale=0.5, axis=-1, mask=mask, merge=True, split=True) | change
        for clean in (True, False):
            mistaken = attention_in_steps(layer, x, context, clean=clean, **settings)
            if alike(shown, told(mistaken, real)):
                return what
    return "softmax(Q Kᵀ / √d_k) V in each head, the mask before softmax, W_O at the end"


def attention_in_steps(
    layer: Any,
    x: Tensor,
    context: Tensor,
    scale: float,
    axis: int,
    mask: Tensor | None,
    merge: bool,
    split: bool,
    clean: bool,
) -> Tensor:
    """Multi-head attention with one thing wrong, to compare with; `clean` makes NaN weights 0."""

    def heads(y: Tensor) -> Tensor:
        if split:
            return split_heads(y, layer.num_heads)
        return y.reshape(len(y), layer.num_heads, y.size(1), -1)

    query, key, value = heads(layer.w_q(x)), heads(layer.w_k(context)), heads(layer.w_v(context))
    scores = query @ key.transpose(-2, -1) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(axis)
    found = (weights.nan_to_num(0.0) if clean else weights) @ value
    return layer.w_o(merge_heads(found) if merge else found.reshape(x.shape))
