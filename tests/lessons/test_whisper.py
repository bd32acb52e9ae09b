"""lessons/whisper.py: sound in, words out, equal to transformers' in logits and in words.

Small models with random weights; `make test-real` does the same with the published ones.
"""

import copy
import json
import math

import pytest
import torch

from helpers.attention import MultiHeadAttention
from helpers.decoding import decode
from helpers.layers import FeedForward, sinusoidal_positions
from helpers.lessons.whisper import SoundEmbedding, from_whisper, transcribe, untrained
from helpers.special_ids import BOS, EOS
from tests.lessons.support import change_weights, save_whisper


@pytest.fixture
def pair(tmp_path):
    """(their model, ours read from what theirs saved, its spelling), in float64."""
    theirs, folder = save_whisper(tmp_path)
    ours, spelling = from_whisper(folder)
    return theirs.double(), ours.double(), spelling


def sounds(count=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 10, 70, generator=generator, dtype=torch.float64)


def logits_of_both(theirs, ours, spelling):
    """The logits of the same text, in their order."""
    text = spelling.encode("the dog found")
    read = torch.tensor([[BOS, spelling.first, *text]] * 2)
    with torch.no_grad():
        wanted = theirs(sounds(), decoder_input_ids=spelling.vocabulary.decode(read)).logits
        got = ours(sounds(), read)[..., spelling.vocabulary.ours]
    return got, wanted


def test_logits_are_theirs(pair):
    got, wanted = logits_of_both(*pair)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)


def with_relu(model):
    for module in model.modules():
        if isinstance(module, FeedForward):
            module.activation = torch.relu


def with_sines(model):
    positions = sinusoidal_positions(*model.target_embedding.positions.shape).double()
    model.target_embedding.positions = torch.nn.Parameter(positions)


def with_scale(model):
    model.target_embedding.scale = math.sqrt(model.config.d_model)


def with_norm_last(model):
    for module in model.modules():
        if hasattr(module, "norm_first"):
            module.norm_first = False


def with_one_layers_keys_for_all(model):
    first = model.decoder.layers[0].cross_attention
    for layer in model.decoder.layers:
        layer.cross_attention.w_k, layer.cross_attention.w_v = first.w_k, first.w_v


@pytest.mark.parametrize(
    "change", [with_relu, with_sines, with_scale, with_norm_last, with_one_layers_keys_for_all]
)
def test_this_equality_notices_each_difference(pair, change):
    theirs, ours, spelling = pair
    change(ours)
    got, wanted = logits_of_both(theirs, ours, spelling)
    assert (got - wanted).abs().max() > 1e-2


def test_a_bias_of_keys_would_change_nothing(pair):
    """Why Whisper can do without: it adds the same to all scores of a query."""
    theirs, ours, spelling = pair
    for module in ours.modules():
        if isinstance(module, MultiHeadAttention):
            bias = torch.randn(ours.config.d_model, dtype=torch.float64)
            module.w_k.bias = torch.nn.Parameter(bias)
    got, wanted = logits_of_both(theirs, ours, spelling)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-10)


def test_greedy_search_is_theirs_token_for_token(pair):
    theirs, ours, spelling = pair
    some = sounds(6)
    start, first = spelling.vocabulary.decode(torch.tensor([BOS, spelling.first])).tolist()
    wanted = theirs.generate(
        some,
        decoder_input_ids=torch.tensor([[start, first]] * len(some)),
        max_length=20,
        do_sample=False,
        return_timestamps=False,
    )
    wanted = wanted[:, 2:] if wanted[0, 0] == start else wanted
    got = transcribe(ours, spelling, some, max_length=19)
    assert len({tuple(row) for row in got.tolist()}) > 1  # they do not all say the same
    for mine, other in zip(got, wanted, strict=True):
        mine = spelling.vocabulary.decode(mine[mine > 0]).tolist()
        other = other.tolist()[: len(mine)]
        assert mine == other


def test_the_rules_are_kept(pair):
    _, ours, spelling = pair
    ids = transcribe(ours, spelling, sounds(6), max_length=25)
    assert not set(ids.flatten().tolist()) & set(spelling.never) - {0, 3}
    assert not set(ids[:, 0].tolist()) & set(spelling.not_first)
    forced = []
    decode(ours, sounds(1), lambda logits: forced.append(1) or logits.argmax(-1), 5)
    assert forced  # through our own search


def test_what_is_silenced_in_the_memory_is_not_heard(pair):
    """The decoder knows the sound through cross-attention only."""
    _, ours, spelling = pair
    read = torch.tensor([[BOS, spelling.first, *spelling.encode("the dog")]] * 2)
    with torch.no_grad():
        memory, mask = ours.encode(sounds())
        heard = ours.decode(read, memory, mask)
        other = ours.decode(read, memory.flip(0), mask)
        for layer in ours.decoder.layers:
            layer.cross_attention.w_v.weight.zero_()
        deaf = ours.decode(read, memory, mask), ours.decode(read, memory.flip(0), mask)
    assert not torch.allclose(heard, other)
    torch.testing.assert_close(*deaf, rtol=0, atol=1e-12)


def test_other_pictures_are_refused():
    with pytest.raises(ValueError, match=r"spectrogram must be \(batch, 10, 70\)"):
        SoundEmbedding(10, 8, 35)(torch.zeros(1, 10, 69))


@pytest.mark.parametrize(
    "setting, value",
    [
        ("model_type", "marian"),
        ("activation_function", "relu"),
        ("scale_embedding", True),
        ("tie_word_embeddings", False),
        ("decoder_attention_heads", 6),
        ("decoder_ffn_dim", 41),
    ],
)
def test_settings_that_are_not_built_are_refused(tmp_path, setting, value):
    _, folder = save_whisper(tmp_path)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {setting: value}))
    with pytest.raises(ValueError, match=f"not supported here: {setting}"):
        from_whisper(folder)


def test_a_model_for_many_languages_is_refused(tmp_path):
    _, folder = save_whisper(tmp_path)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 51_865}))
    with pytest.raises(ValueError, match="only the English models"):
        from_whisper(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "generation_config.json", "config.json"])
def test_a_file_that_is_missing_is_named(tmp_path, name):
    _, folder = save_whisper(tmp_path)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        from_whisper(folder)


def test_a_weight_that_nobody_knows_is_named(tmp_path):
    _, folder = save_whisper(tmp_path)
    extra = "model.encoder.layers.0.self_attn.k_proj.bias"
    change_weights(folder, lambda w: w.update({extra: torch.zeros(24)}))
    with pytest.raises(ValueError, match="weights unknown: .*k_proj.bias"):
        from_whisper(folder)


def test_an_output_of_its_own_is_refused(tmp_path):
    _, folder = save_whisper(tmp_path)
    vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
    change_weights(folder, lambda w: w.update({"proj_out.weight": torch.zeros(vocab, 24)}))
    with pytest.raises(ValueError, match="proj_out.weight must be the same matrix"):
        from_whisper(folder)


def test_texts_come_back(pair):
    *_, spelling = pair
    text = "the dog found the garden"
    assert spelling.decode([*spelling.encode(text), EOS]) == text


def test_the_untrained_one_takes_the_trained_ones_place():
    model, spelling = untrained("the dog found the ball")
    assert len(spelling.encode("the dog found the ball")) == 5
    other = copy.deepcopy(model).source_embedding(torch.zeros(1, 80, 3000))
    assert other.shape == (1, 1500, 96)
    assert transcribe(model, spelling, torch.zeros(1, 80, 3000), 3).shape[0] == 1
