"""lessons/t5.py: relative positions, and what else is T5's own."""

import json

import pytest
import torch
from torch import nn
from transformers import T5Config
from transformers.models.t5 import modeling_t5

from helpers.batching import pad
from helpers.cache import Cache
from helpers.decoding import beam_search, greedy, log_probability
from helpers.lessons.t5 import T5, RelativeAttention, bucket, from_t5
from helpers.special_ids import BOS, EOS, PAD
from helpers.transformer import TransformerConfig
from tests.lessons.support import change_weights, sources, t5
from tests.support import SENTENCES, all_equal, seeds


def test_t5_looks_at_distances(tmp_path):
    """Without the table of distances the logits are others."""
    theirs = t5()
    theirs.save_pretrained(tmp_path / "t")
    ours, ids = from_t5(tmp_path / "t")
    source = ids.encode(sources(theirs)[0])
    with torch.no_grad():
        before = ours(source, torch.tensor([[BOS, 5, 6]] * 4))
        ours.encoder.layers[1].self_attention.table.weight.zero_()  # one for all layers
        after = ours(source, torch.tensor([[BOS, 5, 6]] * 4))
    assert (before - after)[..., 2:].abs().max() > 1e-2


@pytest.mark.parametrize("seed", seeds(2))
def test_nan_in_any_weight_of_t5_shows_and_stops_a_translation(tmp_path, seed):
    """One number is enough, and neither mask nor softmax hides it."""
    t5(seed).save_pretrained(tmp_path / "t")
    ours, _ = from_t5(tmp_path / "t")
    source_ids = pad(SENTENCES)  # has padding, which the mask hides
    for name, parameter in ours.named_parameters():
        flat = parameter.data.view(-1)
        read = 5 if "embedding" in name or "output" in name else 0  # what belongs to an id read
        place = read * (parameter.size(-1) if parameter.dim() > 1 else 1)
        kept = flat[place].clone()
        flat[place] = torch.nan
        with torch.no_grad():
            assert ours(source_ids, torch.tensor([[BOS, 5, 6]] * 3)).isnan().any(), name
        with pytest.raises(FloatingPointError, match="logits are NaN"):
            greedy(ours, source_ids, 5)
        flat[place] = kept
    assert greedy(ours, source_ids, 5).size(1) <= 5


@pytest.mark.parametrize("both_ways", [True, False])
def test_buckets_are_theirs(both_ways):
    distance = torch.arange(-300, 301)
    wanted = modeling_t5.T5Attention._relative_position_bucket(distance, both_ways)
    assert torch.equal(bucket(distance, both_ways), wanted)


def test_t5_reads_one_token_at_a_time_from_a_cache(tmp_path):
    t5().save_pretrained(tmp_path / "t")
    ours, _ = from_t5(tmp_path / "t")
    memory, source_mask = ours.encode(torch.tensor([[5, 6, EOS]]))
    with pytest.raises(ValueError, match="one token at a time"):
        ours.decode(torch.tensor([[BOS, 5]]), memory, source_mask, Cache(3))


def test_the_leftover_in_published_t5_files_is_nobodys(tmp_path):
    t5().save_pretrained(tmp_path / "t5")
    without, _ = from_t5(tmp_path / "t5")
    leftover = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    change_weights(tmp_path / "t5", lambda w: w.update({leftover: torch.ones(32, 4)}))
    model, _ = from_t5(tmp_path / "t5")
    assert model.state_dict().keys() == without.state_dict().keys()
    assert all_equal(model.state_dict().values(), without.state_dict().values())


@pytest.mark.parametrize("seed", seeds(3))
def test_t5s_cache_and_beam_are_its_own(tmp_path, seed):
    """Distances are counted in positions, also where a beam reads several tokens at one."""
    t5(seed).save_pretrained(tmp_path / "t")
    ours, _ = from_t5(tmp_path / "t")
    ours, source_ids = ours.double(), pad(SENTENCES)
    cached, whole = (greedy(ours, source_ids, 12, cached=c) for c in (True, False))
    assert torch.equal(cached, whole)
    one, _ = beam_search(ours, source_ids, beam_size=1, max_length=12)
    assert torch.equal(one, whole)
    ids, scores = beam_search(ours, source_ids, 3, length_penalty=0, max_length=12)
    own = log_probability(ours, source_ids, ids)
    torch.testing.assert_close(scores, own, rtol=0, atol=1e-9)


VERSION_1_1 = dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
knows_version_1_1 = pytest.mark.skipif(
    T5Config(**VERSION_1_1).scale_decoder_outputs is not False,
    reason="this transformers computes T5 1.1 as if it were 1.0 (its pull request 43681)",
)


def flan(folder, own_output=True, seed=0):
    """A gated T5, saved as flan-T5 is published: with an output matrix of its own."""
    theirs = t5(seed, **VERSION_1_1)
    if own_output:
        theirs.lm_head.weight = torch.nn.Parameter(torch.randn(53, 16))
    theirs.save_pretrained(folder)
    if own_output:
        change_settings(folder, lambda s: s.update(tie_word_embeddings=False))
        change_settings(folder, lambda s: s.pop("scale_decoder_outputs"))
        change_weights(folder, lambda w: w.update({"lm_head.weight": theirs.lm_head.weight.data}))
    return theirs


def change_settings(folder, change):
    settings = json.loads((folder / "config.json").read_text(encoding="utf8"))
    change(settings)
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf8")


@knows_version_1_1
@pytest.mark.parametrize("own_output", [True, False])
def test_flan_t5_has_the_same_logits_and_words(tmp_path, own_output):
    theirs = flan(tmp_path / "f", own_output)
    ours, ids = from_t5(tmp_path / "f")
    source, mask = sources(theirs)
    target = torch.randint(4, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    target[:, 0] = theirs.config.decoder_start_token_id
    read = ids.encode(target)
    read[:, 0] = BOS
    with torch.no_grad():
        wanted = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        got = ours(ids.encode(source), read)
    others = [i for i in range(len(ids)) if i != BOS]  # a row that T5 does not have
    torch.testing.assert_close(
        got[..., others],
        wanted[..., ids.rows[others]],
        rtol=0,
        atol=5e-5 * wanted.abs().max().item(),
    )
    said = greedy(ours, ids.encode(source), 12)
    wrote = theirs.generate(
        input_ids=source,
        attention_mask=mask,
        max_new_tokens=12,
        use_cache=False,  # it expects as many encoder as decoder layers
        bad_words_ids=[[theirs.config.pad_token_id]],
    )[:, 1:]
    same = ids.decode(said)[:, : wrote.size(1)] == wrote
    assert (same | (said[:, : wrote.size(1)] == PAD)).all()


@knows_version_1_1
def test_gates_are_not_optional(tmp_path):
    """With the gate shut in one layer the logits are others: each layer got its own."""
    flan(tmp_path / "f")
    ours, _ = from_t5(tmp_path / "f")
    source_ids, target_ids = pad(SENTENCES), torch.tensor([[BOS, 5, 6]] * 3)
    with torch.no_grad():
        before = ours(source_ids, target_ids)
        for layer in [*ours.encoder.layers, *ours.decoder.layers]:
            kept = layer.feed_forward.w_3.weight.clone()
            layer.feed_forward.w_3.weight.zero_()
            assert (ours(source_ids, target_ids) - before)[..., 2:].abs().max() > 1e-3
            layer.feed_forward.w_3.weight.copy_(kept)


@pytest.mark.parametrize(
    "change, named",
    [
        (dict(feed_forward_proj="gated-silu"), "feed_forward_proj='gated-silu'"),
        (dict(scale_decoder_outputs=True), "scale_decoder_outputs=True"),
        (dict(tie_word_embeddings=True), "scale_decoder_outputs=True"),
        (dict(d_kv=8), "d_kv=8"),
    ],
)
def test_gated_kinds_that_are_not_built_are_named(tmp_path, change, named):
    flan(tmp_path / "f")
    change_settings(tmp_path / "f", lambda s: s.update(change))
    with pytest.raises(ValueError, match=named):
        from_t5(tmp_path / "f")


def test_other_sizes_of_heads_and_tables_compute_the_same(tmp_path):
    """Two heads of eight numbers, and sixteen rows for the distances: all sizes differ."""
    theirs = t5(num_heads=2, d_kv=8, relative_attention_num_buckets=16)
    theirs.save_pretrained(tmp_path / "t")
    ours, ids = from_t5(tmp_path / "t")
    source, mask = sources(theirs)
    target = torch.randint(4, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    target[:, 0] = theirs.config.decoder_start_token_id
    read = ids.encode(target)
    read[:, 0] = BOS
    with torch.no_grad():
        wanted = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        got = ours(ids.encode(source), read)[..., ids.ours]
    scale = wanted.abs().max()
    torch.testing.assert_close(got / scale, wanted / scale, rtol=0, atol=1e-5)


def test_the_usual_table_has_32_rows():
    """As in every published version 1.0, and in the paper."""
    model = T5(TransformerConfig(23, 16, 4, 24, 1, 1, norm_first=True))
    assert model.encoder.layers[0].self_attention.table.weight.shape == (32, 4)


def test_a_row_that_may_look_at_nothing_gets_zeros():
    """As with the attention of notebook 03: never NaN."""
    layer = RelativeAttention(16, 4, nn.Embedding(32, 4), both_ways=True)
    query = key = value = torch.randn(1, 4, 3, 4)
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    output, weights = layer.attention(query, key, value, mask)
    assert (output[:, :, 1] == 0).all() and (weights[:, :, 1] == 0).all()
    torch.testing.assert_close(output[:, :, 2], value[:, :, 0])


def test_where_the_decoder_is_as_deep_as_the_encoder_its_layers_need_no_mention(tmp_path):
    """config.json of t5-small says num_layers alone."""
    t5(num_decoder_layers=2).save_pretrained(tmp_path / "t")
    said, _ = from_t5(tmp_path / "t")
    path = tmp_path / "t" / "config.json"
    settings = json.loads(path.read_text(encoding="utf8"))
    assert settings.pop("num_decoder_layers") == settings["num_layers"] == 2
    path.write_text(json.dumps(settings), encoding="utf8")
    unsaid, _ = from_t5(tmp_path / "t")
    assert unsaid.config == said.config
    assert all_equal(said.parameters(), unsaid.parameters())


@pytest.mark.parametrize("name", ["lm_head", "encoder.embed_tokens", "decoder.embed_tokens"])
def test_the_shared_matrix_may_stand_in_the_file_more_than_once_if_it_is_the_same(tmp_path, name):
    t5().save_pretrained(tmp_path / "t")
    once, _ = from_t5(tmp_path / "t")
    copy = lambda w: w.update({f"{name}.weight": w["shared.weight"].clone()})
    change_weights(tmp_path / "t", copy)
    twice, _ = from_t5(tmp_path / "t")
    assert all_equal(once.parameters(), twice.parameters())
    change_weights(tmp_path / "t", lambda w: w[f"{name}.weight"].add_(1))
    with pytest.raises(ValueError, match=f"{name}.weight must be the same matrix as shared.weight"):
        from_t5(tmp_path / "t")


def test_an_output_matrix_with_other_rows_is_named(tmp_path):
    flan(tmp_path)
    change_weights(tmp_path, lambda w: w.update({"lm_head.weight": w["lm_head.weight"][:-1]}))
    with pytest.raises(ValueError, match="lm_head.weight must have vocab_size=53 rows, got 52"):
        from_t5(tmp_path)
