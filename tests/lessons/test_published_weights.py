"""interop.py and t5.py: published kinds of weights in our classes, equal in logits and in words.

The models are made here, with random weights, by the library that publishes them, saved to disk
and read from there; sizes are pairwise different.
"""

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import MarianConfig, MarianMTModel, T5Config, T5ForConditionalGeneration
from transformers.models.t5 import modeling_t5

from helpers.cache import Cache
from helpers.decoding import beam_search, greedy
from helpers.lessons.marian import from_marian
from helpers.lessons.published_weights import Vocabulary, read_checkpoint
from helpers.lessons.t5 import bucket, from_t5
from helpers.lessons.torch_nn import from_torch, to_torch
from helpers.special_ids import BOS, EOS, PAD, UNK
from tests.twins import tiny_model

# torch's notes to itself on which fast path it cannot take
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def marian(seed=0, **changes):
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=53,
        d_model=16,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        encoder_layers=2,
        decoder_layers=3,
        max_position_embeddings=40,
        pad_token_id=52,
        decoder_start_token_id=52,
        eos_token_id=0,
        forced_eos_token_id=None,
        scale_embedding=True,
        activation_function="swish",
        init_std=0.4,
    )
    model = MarianMTModel(MarianConfig(**{**settings, **changes})).eval()
    with torch.no_grad():  # norms and biases away from 1 and 0, so that a lost one shows
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
        model.final_logits_bias.normal_(std=0.3)
    return model


def t5(seed=0, **changes):
    torch.manual_seed(seed)
    settings = dict(
        vocab_size=53,
        d_model=16,
        d_kv=4,
        num_heads=4,
        d_ff=24,
        num_layers=2,
        num_decoder_layers=3,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=1.0,
    )
    model = T5ForConditionalGeneration(T5Config(**{**settings, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 or "relative" in name:
                parameter.add_(torch.randn_like(parameter) * (1.0 if "relative" in name else 0.1))
    return model


def taught(theirs):
    """A little training to count, so that words differ and sentences end; it is left unsure."""
    optimizer = torch.optim.Adam(theirs.parameters(), 3e-3)
    eos = theirs.config.eos_token_id
    for seed in range(400):
        source, mask = sources(theirs, 100 + seed)
        counts = [[*range(4 + first % 9, 30, 3), eos] for first in source[:, 0].tolist()]
        longest = max(map(len, counts))
        labels = torch.tensor([[*row, *[-100] * (longest - len(row))] for row in counts])
        loss = theirs(input_ids=source, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 1.0:
            return theirs
    raise AssertionError("did not learn to count")


KINDS = {"marian": (marian, from_marian), "t5": (t5, from_t5)}


@pytest.fixture(params=KINDS)
def pair(request, tmp_path):
    """(their model, ours read from what theirs saved, the vocabulary between them)."""
    make, read = KINDS[request.param]
    theirs = make()
    theirs.save_pretrained(tmp_path / "checkpoint")
    return theirs, *read(tmp_path / "checkpoint")


@pytest.fixture(scope="module", params=KINDS)
def speakers(request, tmp_path_factory):
    """The same in float64, and taught to say something."""
    make, read = KINDS[request.param]
    theirs = taught(make())
    folder = tmp_path_factory.mktemp("checkpoints") / request.param
    theirs.save_pretrained(folder)
    ours, ids = read(folder)
    return theirs.double(), ours.double(), ids


def sources(theirs, seed=0):
    """Their ids of four sentences of unequal length, and their mask."""
    generator = torch.Generator().manual_seed(seed)
    pad, eos = theirs.config.pad_token_id, theirs.config.eos_token_id
    ids = torch.randint(4, 50, (4, 9), generator=generator)
    for row, length in enumerate((9, 4, 7, 2)):
        ids[row, length - 1] = eos
        ids[row, length:] = pad
    return ids, (ids != pad).long()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_logits_are_equal(pair, dtype, tolerance, monkeypatch):
    if dtype == torch.float64:
        # Their norm, and T5's softmax in older versions of transformers, compute in float32
        # whatever the model is in.
        as_it_is = lambda x: x if x.dtype == torch.float64 else x.to(torch.float32)
        monkeypatch.setattr(torch.Tensor, "float", as_it_is)
        monkeypatch.setattr(
            modeling_t5.T5LayerNorm,
            "forward",
            lambda self, x: nn.functional.rms_norm(x, x.shape[-1:], self.weight, 1e-6),
        )
    theirs, ours, ids = pair
    theirs, ours = theirs.to(dtype), ours.to(dtype)
    source, mask = sources(theirs)
    target = torch.randint(4, 50, (4, 12), generator=torch.Generator().manual_seed(1))
    target[:, 0] = theirs.config.decoder_start_token_id
    read = ids.encode(target)
    read[:, 0] = BOS
    with torch.no_grad():
        wanted = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        got = ours(ids.encode(source), read)
    scale = wanted.abs().max()
    torch.testing.assert_close(got[..., ids.ours] / scale, wanted / scale, rtol=0, atol=tolerance)
    assert (got[..., BOS] == -torch.inf).all()


def generated(theirs, seed, **options):
    source, mask = sources(theirs, seed)
    with torch.no_grad():
        return theirs.generate(
            input_ids=source,
            attention_mask=mask,
            max_new_tokens=15,
            do_sample=False,
            use_cache=False,  # their cache expects as many encoder as decoder layers in T5
            bad_words_ids=[[theirs.config.pad_token_id]],
            **options,
        )


def words(rows, eos):
    """Rows of their ids up to the first EOS (what they fill up with behind it varies)."""
    return [row[: row.index(eos) + 1] if eos in row else row for row in rows.tolist()]


@pytest.mark.parametrize("seed", range(4))
def test_greedy_says_the_same_tokens_as_generate(speakers, seed):
    theirs, ours, ids = speakers
    wanted = words(generated(theirs, seed, num_beams=1)[:, 1:], theirs.config.eos_token_id)
    got = greedy(ours, ids.encode(sources(theirs, seed)[0]), max_length=15)
    assert words(ids.decode(got), theirs.config.eos_token_id) == wanted


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("beam_size", [2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_beam_search_says_the_same_tokens_as_generate(speakers, seed, beam_size, length_penalty):
    theirs, ours, ids = speakers
    options = dict(num_beams=beam_size, length_penalty=length_penalty, early_stopping="never")
    wanted = words(generated(theirs, seed, **options)[:, 1:], theirs.config.eos_token_id)
    got, _ = beam_search(
        ours, ids.encode(sources(theirs, seed)[0]), beam_size, length_penalty, 15, True
    )
    assert words(ids.decode(got), theirs.config.eos_token_id) == wanted


def test_these_equalities_notice_each_difference(tmp_path):
    """Take one of the changes back, and the logits are not theirs any more."""
    theirs = marian()
    theirs.save_pretrained(tmp_path / "m")
    source, mask = sources(theirs)
    target = torch.tensor([[52, 5, 6]] * 4)
    with torch.no_grad():
        wanted = theirs(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits

    def error(change):
        ours, ids = from_marian(tmp_path / "m")
        change(ours)
        read = ids.encode(target)
        read[:, 0] = BOS
        with torch.no_grad():
            return (ours(ids.encode(source), read)[..., ids.ours] - wanted).abs().max().item()

    def with_relu(ours):
        ours.decoder.layers[0].feed_forward.activation = torch.relu

    def alternating(ours):
        plain = tiny_model().source_embedding.positions.float()
        ours.source_embedding.positions[: len(plain)] = plain

    def without_bias(ours):
        ours.output.bias.data.zero_()

    assert error(lambda ours: None) < 1e-4
    for change in (with_relu, alternating, without_bias):
        assert error(change) > 1e-2, change.__name__


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


def test_ids_go_there_and_back():
    ids = Vocabulary(10, pad=9, start=9, eos=0, unk=1)
    assert len(ids) == 11
    assert ids.encode(torch.tensor([9, 0, 1, 5])).tolist()[:3] == [PAD, EOS, UNK]
    every = torch.arange(10)
    assert torch.equal(ids.decode(ids.encode(every)), every)
    own_start = Vocabulary(10, pad=9, start=4, eos=0, unk=1)
    assert len(own_start) == 10 and own_start.encode(torch.tensor(4)) == BOS


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_unknown_and_misshaped_weights_are_named(kind, tmp_path):
    make, read = KINDS[kind]
    make().save_pretrained(tmp_path / "whole")
    (name, *_) = (
        n for n in load_file(tmp_path / "whole" / "model.safetensors") if "fc1" in n or ".wi." in n
    )
    changes = [
        (lambda w: w.pop(name), f"weights missing: \\['{name}'\\]"),
        (lambda w: w.update(stranger=torch.zeros(2)), "weights unknown: \\['stranger'\\]"),
        (lambda w: w.update({name: torch.zeros(2, 2)}), f"{name} must be"),
    ]
    for number, (change, message) in enumerate(changes):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        change_weights(folder, change)
        with pytest.raises(ValueError, match=message):
            read(folder)


def test_the_leftover_in_published_t5_files_is_nobodys(tmp_path):
    t5().save_pretrained(tmp_path / "t5")
    leftover = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    change_weights(tmp_path / "t5", lambda w: w.update({leftover: torch.zeros(32, 4)}))
    from_t5(tmp_path / "t5")


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_matrix_that_is_missing_or_has_other_rows_is_named(kind, tmp_path):
    make, read = KINDS[kind]
    make().save_pretrained(tmp_path / "m")
    name = next(n for n in load_file(tmp_path / "m" / "model.safetensors") if "shared" in n)
    change_weights(tmp_path / "m", lambda w: w.update({name: torch.zeros(99, 16)}))
    with pytest.raises(ValueError, match=f"{name} must have vocab_size="):
        read(tmp_path / "m")
    change_weights(tmp_path / "m", lambda w: w.pop(name))
    with pytest.raises(ValueError, match=f"weights missing: .*{name}"):
        read(tmp_path / "m")


def test_untied_copies_are_refused(tmp_path):
    marian().save_pretrained(tmp_path / "m")
    change_weights(tmp_path / "m", lambda w: w.update({"lm_head.weight": torch.zeros(53, 16)}))
    with pytest.raises(ValueError, match="lm_head.weight must be the same matrix"):
        from_marian(tmp_path / "m")


@pytest.mark.parametrize(
    "kind, setting, value",
    [
        ("marian", "normalize_before", True),
        ("marian", "scale_embedding", False),
        ("marian", "activation_function", "tanh"),
        ("marian", "decoder_ffn_dim", 32),
        ("marian", "model_type", "bart"),
        ("t5", "feed_forward_proj", "gated-gelu"),
        ("t5", "d_kv", 8),
    ],
)
def test_settings_that_are_not_built_are_named(kind, setting, value, tmp_path):
    make, read = KINDS[kind]
    make().save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), setting: value}))
    with pytest.raises(ValueError, match=setting):
        read(tmp_path / "m")


def test_a_setting_that_is_absent_is_named(tmp_path):
    marian().save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    settings = json.loads(path.read_text())
    del settings["d_model"]
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="must say d_model"):
        from_marian(tmp_path / "m")


def test_files_that_are_not_there_or_damaged_are_told(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="must hold config.json and model.safetensors"):
        read_checkpoint(tmp_path)
    marian().save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="damaged"):
        read_checkpoint(tmp_path / "m")
    with pytest.raises(FileNotFoundError, match="neither a folder nor"):
        read_checkpoint("no/such/folder")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OSError, match="could not be fetched"):
        read_checkpoint("Helsinki-NLP/opus-mt-de-en")


def test_the_older_kind_of_file_is_read_too(tmp_path):
    theirs = marian()
    theirs.save_pretrained(tmp_path / "m")
    state = dict(theirs.state_dict())  # with every copy and the positions
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(state, tmp_path / "m" / "pytorch_model.bin")
    ours, ids = from_marian(tmp_path / "m")
    torch.testing.assert_close(ours.output.weight[ids.ours], theirs.lm_head.weight, rtol=0, atol=0)


@pytest.mark.parametrize("norm_first", [False, True])
def test_torchs_stacks_go_there_and_back(norm_first):
    model = tiny_model(norm_first=norm_first).eval()
    encoder, decoder = from_torch(to_torch(model))
    for mine, again in ((model.encoder, encoder), (model.decoder, decoder)):
        for (name, p), (other, q) in zip(
            mine.named_parameters(), again.named_parameters(), strict=True
        ):
            assert name == other and torch.equal(p, q)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_stack_made_by_torch_computes_the_same_in_ours(norm_first):
    torch.manual_seed(0)
    theirs = nn.Transformer(
        16, 4, 2, 3, 24, 0.1, batch_first=True, norm_first=norm_first, dtype=torch.float64
    ).eval()
    encoder, decoder = from_torch(theirs)
    source, target = torch.randn(2, 5, 16).double(), torch.randn(2, 3, 16).double()
    with torch.no_grad():
        got = decoder(target, encoder(source))
        torch.testing.assert_close(got, theirs(source, target), rtol=0, atol=1e-10)


def test_a_stack_without_a_norm_at_its_end_gets_none():
    torch.manual_seed(0)
    theirs = nn.Transformer(8, 2, 1, 1, 8, 0.0, batch_first=True, norm_first=True).double().eval()
    theirs.encoder.norm = theirs.decoder.norm = None
    encoder, _ = from_torch(theirs)
    x = torch.randn(2, 5, 8).double()
    torch.testing.assert_close(encoder(x), theirs.encoder(x), rtol=0, atol=1e-10)


def test_torchs_other_kinds_are_refused():
    with pytest.raises(ValueError, match="activation must be ReLU"):
        from_torch(nn.Transformer(8, 2, 1, 1, 8, activation="gelu", batch_first=True))
    with pytest.raises(ValueError, match="layer_norm_eps must be 1e-5"):
        from_torch(nn.Transformer(8, 2, 1, 1, 8, layer_norm_eps=1e-6, batch_first=True))
    with pytest.raises(ValueError, match="bias must be True"):
        from_torch(nn.Transformer(8, 2, 1, 1, 8, bias=False, batch_first=True))
