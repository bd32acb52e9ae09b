"""lessons/wirings.py: what is rerouted, and what stays."""

import pytest
import torch

from helpers.lessons.wirings import (
    RECURRENT,
    WIRINGS,
    RecurrentTranslator,
    WiredTransformer,
    build,
    num_parameters,
)
from helpers.special_ids import PAD
from helpers.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(24, 16, 4, 32, 3, 3, dropout=0.0, norm_first=True, max_length=32)
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, PAD, PAD]])
TARGET = torch.tensor([[1, 13, 14, 15], [1, 16, 17, 18]])
ATTENTION = [name for name in WIRINGS if name not in RECURRENT]


def built(wiring):
    torch.manual_seed(0)
    return build(wiring, CONFIG).double().eval()


def test_full_is_the_transformer():
    torch.manual_seed(0)
    ours = Transformer(CONFIG).double().eval()
    torch.testing.assert_close(built("full")(SOURCE, TARGET), ours(SOURCE, TARGET))


def test_all_wirings_have_the_same_parameters_and_the_recurrent_ones_hardly_fewer():
    sizes = {w: num_parameters(built(w)) for w in WIRINGS}
    assert len({sizes[w] for w in ATTENTION}) == 1
    for wiring in RECURRENT:
        assert 0.6 * sizes["full"] < sizes[wiring] <= sizes["full"]
        larger = type(built(wiring))(24, 16, built(wiring).decoder.hidden_size + 8)
        assert num_parameters(larger) > sizes["full"]


@pytest.mark.parametrize("wiring", WIRINGS)
def test_who_hears_the_source(wiring):
    model = built(wiring)
    changed = SOURCE.clone()
    changed[0, 1] = 20
    before, after = model(SOURCE, TARGET), model(changed, TARGET)
    heard = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    expected = {"none": [False, False], "shuffled": [False, True]}.get(wiring, [True, False])
    assert heard == expected


@pytest.mark.parametrize("wiring", WIRINGS)
def test_no_wiring_leaks_the_future_or_hears_padding(wiring):
    model = built(wiring)
    changed = TARGET.clone()
    changed[:, 3] = 20
    before, after = model(SOURCE, TARGET), model(SOURCE, changed)
    assert torch.equal(before[:, :3], after[:, :3]) and not torch.equal(before[:, 3], after[:, 3])
    wider = torch.cat([SOURCE, SOURCE.new_full((2, 3), PAD)], dim=1)
    torch.testing.assert_close(model(wider, TARGET), before, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("wiring", "layers"),
    [("first only", [0]), ("last only", [2]), ("full", [0, 1, 2]), ("none", [])],
)
def test_which_layers_look_at_the_memory(wiring, layers):
    model, looks = built(wiring), []
    for i, layer in enumerate(model.decoder.layers):
        note = lambda m, inputs, i=i: looks.append(i) if inputs[1].size(1) == 5 else None
        layer.cross_attention.register_forward_pre_hook(note)
    model(SOURCE, TARGET)
    assert looks == layers


def test_layer_by_layer_lets_the_first_decoder_layer_hear_the_first_encoder_layer_only():
    model, contexts = built("layer by layer"), []
    for layer in model.decoder.layers:
        layer.cross_attention.register_forward_pre_hook(lambda m, x: contexts.append(x[1].clone()))
    model(SOURCE, TARGET)
    hook = model.encoder.layers[-1].register_forward_hook(lambda m, x, y: y + 1)
    model(SOURCE, TARGET)
    hook.remove()
    same = [torch.equal(a, b) for a, b in zip(contexts[:3], contexts[3:], strict=True)]
    assert same[:2] == [True, True]


def test_the_recurrent_model_looks_at_every_real_word_and_at_no_other():
    model = built("recurrent with cross-attention")
    memory, mask = model.encode(SOURCE)
    assert memory.shape[:2] == SOURCE.shape and torch.equal(mask[:, 0, 0], SOURCE != PAD)
    before = model.decode(TARGET, memory, mask)
    for position in range(5):
        changed = memory.clone()
        changed[:, position] += 1.0
        moved = (model.decode(TARGET, changed, mask) != before).any(-1).any(-1)
        assert moved.tolist() == (SOURCE[:, position] != PAD).tolist()


def test_with_its_attention_silenced_it_is_the_recurrent_model():
    ours = built("recurrent with cross-attention")
    hidden = ours.decoder.hidden_size
    plain = RecurrentTranslator(24, 16, hidden).double().eval()
    weights = {k: v for k, v in ours.state_dict().items() if k != "w_q.weight"}
    weights["to_model.weight"] = weights["to_model.weight"][:, :hidden]  # the part for its states
    plain.load_state_dict(weights)
    with torch.no_grad():
        ours.to_model.weight[:, hidden:] = 0
    torch.testing.assert_close(ours(SOURCE, TARGET), plain(SOURCE, TARGET))


def test_its_score_is_luongs_general_one_scaled():
    model = built("recurrent with cross-attention")
    memory, mask = model.encode(SOURCE[:1])  # a sentence without padding
    start = memory[:, -1:].transpose(0, 1).contiguous()
    states, _ = model.decoder(model.target_embedding(TARGET[:1]) * model.scale, start)
    h = states[0, 2]
    scores = torch.stack([h @ model.w_q.weight.T @ s for s in memory[0]])
    weights = (scores / memory.size(-1) ** 0.5).softmax(0)
    found = sum(w * s for w, s in zip(weights, memory[0], strict=True))
    wanted = model.to_model(torch.cat([h, found]))
    torch.testing.assert_close(model.decode(TARGET[:1], memory, mask)[0, 2], wanted)


def test_the_names_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        WIRINGS["four means"] = "would be trained as the full one"


def test_bad_wirings_are_named():
    with pytest.raises(ValueError, match="wiring must be one of"):
        WiredTransformer(CONFIG, "sideways")
    with pytest.raises(ValueError, match="wiring must be one of.*recurrent.*got 'four means'"):
        build("four means", CONFIG)
    uneven = TransformerConfig(24, 16, 4, 32, 2, 3)
    with pytest.raises(ValueError, match="as many encoder as decoder"):
        WiredTransformer(uneven, "layer by layer")
    with pytest.raises(ValueError, match="at least two sentences"):
        built("shuffled").encode(SOURCE[:1])
