"""lessons/published_weights.py: both published kinds in our classes, equal in logits and in words.

The models are made here, with random weights, by the library that publishes them, saved to disk
and read from there; sizes are pairwise different.
"""

import json
import shutil
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.models.t5 import modeling_t5

from helpers.decoding import beam_search, greedy
from helpers.lessons.marian import from_marian
from helpers.lessons.published_weights import Vocabulary, read_checkpoint
from helpers.special_ids import BOS, EOS, PAD, UNK
from tests.lessons.support import KINDS, change_weights, marian, sources
from tests.support import seeds


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


@pytest.mark.parametrize("seed", seeds(4))
def test_greedy_generates_the_same_tokens(speakers, seed):
    theirs, ours, ids = speakers
    wanted = words(generated(theirs, seed, num_beams=1)[:, 1:], theirs.config.eos_token_id)
    got = greedy(ours, ids.encode(sources(theirs, seed)[0]), max_length=15)
    assert words(ids.decode(got), theirs.config.eos_token_id) == wanted


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize("beam_size", [2, 4])
@pytest.mark.parametrize("seed", seeds(4))
def test_beam_search_generates_the_same_tokens(speakers, seed, beam_size, length_penalty):
    theirs, ours, ids = speakers
    options = dict(num_beams=beam_size, length_penalty=length_penalty, early_stopping="never")
    wanted = words(generated(theirs, seed, **options)[:, 1:], theirs.config.eos_token_id)
    got, _ = beam_search(
        ours, ids.encode(sources(theirs, seed)[0]), beam_size, length_penalty, 15, True
    )
    assert words(ids.decode(got), theirs.config.eos_token_id) == wanted


def test_ids_go_there_and_back():
    ids = Vocabulary(10, pad=9, start=9, eos=0, unk=1)
    assert len(ids) == 11
    assert ids.encode(torch.tensor([9, 0, 1, 5])).tolist()[:3] == [PAD, EOS, UNK]
    every = torch.arange(10)
    assert torch.equal(ids.decode(ids.encode(every)), every)
    own_start = Vocabulary(10, pad=9, start=4, eos=0, unk=1)
    assert len(own_start) == 10 and own_start.encode(torch.tensor(4)) == BOS


def test_ids_may_be_on_another_device_and_a_bias_is_left_as_it_was():
    ids, elsewhere = Vocabulary(10, pad=9, start=9, eos=0, unk=1), torch.ones(3, device="meta")
    assert ids.encode(elsewhere.long()).device.type == ids.decode(elsewhere.long()).device.type
    assert ids.encode(elsewhere.long()).device.type == "meta"
    theirs = torch.arange(10.0)
    ours = ids.bias(theirs)
    assert ours.tolist() == [9, -torch.inf, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert torch.equal(theirs, torch.arange(10.0))
    assert Vocabulary(10, pad=9, start=4, eos=0, unk=1).bias(theirs).isfinite().all()


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
        (
            lambda w: w.update({name: torch.zeros(2, 2)}),
            f"^the checkpoint does not fit this model: {name} must be",
        ),
    ]
    for number, (change, message) in enumerate(changes):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        change_weights(folder, change)
        with pytest.raises(ValueError, match=message):
            read(folder)


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


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder for each kind, to be copied."""
    folders = {kind: tmp_path_factory.mktemp(kind) / "m" for kind in KINDS}
    for kind, folder in folders.items():
        KINDS[kind][0]().save_pretrained(folder)
    return folders


def with_settings(saved, folder, change):
    """A copy of a saved checkpoint whose config.json says something else."""
    shutil.copytree(saved, folder)
    path = folder / "config.json"
    settings = json.loads(path.read_text(encoding="utf8"))
    change(settings)
    path.write_text(json.dumps(settings), encoding="utf8")
    return folder


OTHER = {  # a value for each setting whose model would compute something else than ours
    "marian": {
        "model_type": "bart",
        "scale_embedding": False,
        "static_position_embeddings": False,
        "normalize_before": True,
        "normalize_embedding": True,
        "add_final_layer_norm": True,
        "share_encoder_decoder_embeddings": False,
        "tie_word_embeddings": False,
        "decoder_vocab_size": 60,
        "decoder_ffn_dim": 32,
        "decoder_attention_heads": 2,
        "activation_function": "gelu_new",
    },
    "t5": {
        "model_type": "mt5",
        "feed_forward_proj": "gated-silu",
        "tie_word_embeddings": False,
        "scale_decoder_outputs": False,
        "layer_norm_epsilon": 1e-5,
        "relative_attention_max_distance": 64,
        "d_kv": 8,
    },
}


@pytest.mark.parametrize(
    "kind, setting, value",
    [(kind, *item) for kind, others in OTHER.items() for item in others.items()],
)
def test_settings_that_are_not_built_are_named(kind, setting, value, saved, tmp_path):
    folder = with_settings(saved[kind], tmp_path / "m", lambda s: s.update({setting: value}))
    with pytest.raises(ValueError, match=f"{setting}.*{value}"):
        KINDS[kind][1](folder)


REQUIRED = {  # absent, the library that publishes them would take sizes of its own
    "marian": (
        "d_model vocab_size encoder_layers decoder_layers encoder_attention_heads "
        "decoder_attention_heads encoder_ffn_dim decoder_ffn_dim dropout max_position_embeddings "
        "scale_embedding activation_function"
    ),
    "t5": "d_model vocab_size d_kv d_ff num_heads num_layers dropout_rate",
}
IDS = ["pad_token_id", "eos_token_id", "decoder_start_token_id"]


@pytest.mark.parametrize(
    "kind, setting",
    [(kind, name) for kind, names in REQUIRED.items() for name in [*names.split(), *IDS]],
)
def test_a_setting_that_is_absent_is_named(kind, setting, saved, tmp_path):
    folder = with_settings(saved[kind], tmp_path / "m", lambda s: s.pop(setting))
    with pytest.raises(ValueError, match=f"config.json must set {setting}$"):
        KINDS[kind][1](folder)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_that_may_be_absent_change_nothing_where_they_are(kind, saved, tmp_path):
    """The values that we build are also the library's defaults."""
    usual = {
        "marian": dict(
            static_position_embeddings=True,
            normalize_before=False,
            normalize_embedding=False,
            add_final_layer_norm=False,
            share_encoder_decoder_embeddings=True,
            tie_word_embeddings=True,
            decoder_vocab_size=53,
        ),
        "t5": dict(
            feed_forward_proj="relu",
            tie_word_embeddings=True,
            scale_decoder_outputs=True,
            layer_norm_epsilon=1e-6,
            relative_attention_max_distance=128,
            relative_attention_num_buckets=32,
        ),
    }[kind]
    read = KINDS[kind][1]
    said = with_settings(saved[kind], tmp_path / "said", lambda s: s.update(usual))
    unsaid = with_settings(
        saved[kind], tmp_path / "unsaid", lambda s: [s.pop(name, None) for name in usual]
    )
    (one, _), (other, _) = read(said), read(unsaid)
    assert one.config == other.config and not one.training
    for (name, p), (same, q) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert name == same and torch.equal(p, q)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sizes_come_from_the_settings(kind, saved):
    ours, ids = KINDS[kind][1](saved[kind])
    c = ours.config
    assert (c.vocab_size, len(ids)) == (54, 54)  # <bos> is a row of its own
    special = {"marian": [52, 52, 0, 1], "t5": [0, 0, 1, 2]}[kind]
    assert ids.rows[[PAD, BOS, EOS, UNK]].tolist() == special  # the usual unknown pieces
    assert (c.d_model, c.num_heads, c.d_ff) == (16, 4, 24)
    assert (c.num_encoder_layers, c.num_decoder_layers) == (2, 3)
    assert c.dropout == 0.1 and c.norm_first == (kind == "t5") and c.tied_embeddings
    assert c.max_length == (40 if kind == "marian" else 1024)


@pytest.mark.parametrize("kind, unk", [("marian", 52), ("marian", 0), ("t5", 0), ("t5", 1)])
def test_an_unknown_piece_that_is_another_special_one_is_refused(kind, unk, saved):
    """With `unk` equal to `pad`, no mask would hide the padding."""
    with pytest.raises(ValueError, match=f"must be three different ids, got .* and {unk}$"):
        KINDS[kind][1](saved[kind], unk=unk)


@pytest.mark.parametrize("wrong", [dict(eos=9), dict(eos=1), dict(unk=9)])
def test_a_vocabulary_has_three_special_pieces_of_its_own(wrong):
    with pytest.raises(ValueError, match="pad, eos and unk must be three different ids"):
        Vocabulary(10, **{**dict(pad=9, start=9, eos=0, unk=1), **wrong})


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
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="could not be fetched"):
        read_checkpoint("Helsinki-NLP/opus-mt-de-en")


@pytest.mark.parametrize("there", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_settings_or_weights_alone_are_no_checkpoint(there, tmp_path):
    """One message for either half that is missing, and it says what the folder holds."""
    (tmp_path / there).write_text("{}", encoding="utf8")
    with pytest.raises(FileNotFoundError, match="must hold config.json and model.safetensors") as e:
        read_checkpoint(tmp_path)
    assert f"it holds ['{there}']" in str(e.value)


def test_weights_are_read_from_either_kind_of_file(tmp_path):
    """And from the safe one where both are there: the other one is not even opened."""
    (tmp_path / "config.json").write_text('{"d_model": 16}', encoding="utf8")
    weights = {"a": torch.arange(3.0).half(), "b": torch.arange(2)}
    torch.save(weights, tmp_path / "pytorch_model.bin")
    for _ in range(2):
        settings, found = read_checkpoint(tmp_path)
        assert settings == {"d_model": 16} and found.keys() == weights.keys()
        assert torch.equal(found["a"], torch.arange(3.0)) and found["a"].dtype == torch.float32
        assert torch.equal(found["b"], torch.arange(2)) and found["b"].dtype == torch.int64
        save_file(weights, tmp_path / "model.safetensors")
        (tmp_path / "pytorch_model.bin").write_bytes(b"nobody reads this")


def test_a_file_that_wants_to_run_something_is_refused_in_one_line(tmp_path):
    """pytorch_model.bin is a pickle, which may name any function of Python's to be called."""
    ran = tmp_path / "ran"

    class Malicious:
        def __reduce__(self):
            return Path.touch, (ran,)

    (tmp_path / "config.json").write_text("{}", encoding="utf8")
    torch.save({"a": Malicious()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"are damaged \(.{20,}\)$") as refused:
        read_checkpoint(tmp_path)
    assert "\n" not in str(refused.value) and not ran.exists()


@pytest.mark.parametrize(
    "kind, wanted",
    [
        ("one safe file", "model.safetensors"),
        ("several", "model.safetensors model.safetensors.index.json a.safetensors b.safetensors"),
        ("a pickle", "model.safetensors model.safetensors.index.json pytorch_model.bin"),
    ],
)
def test_settings_and_one_kind_of_weights_are_fetched_from_the_hub(
    kind, wanted, tmp_path, monkeypatch
):
    """By the name that was given, and no more than is needed."""
    hub, cache, asked = tmp_path / "hub", tmp_path / "cache", []
    hub.mkdir()
    cache.mkdir()
    (hub / "config.json").write_text('{"d_model": 16}', encoding="utf8")
    a, b = {"a": torch.arange(3.0), "c": torch.arange(4.0)}, {"b": torch.arange(2.0)}
    if kind == "one safe file":
        save_file(a | b, hub / "model.safetensors")
    elif kind == "several":
        save_file(a, hub / "a.safetensors")
        save_file(b, hub / "b.safetensors")
        places = {"a": "a.safetensors", "b": "b.safetensors", "c": "a.safetensors"}
        text = json.dumps({"weight_map": places})
        (hub / "model.safetensors.index.json").write_text(text, encoding="utf8")
    if kind != "one safe file":
        torch.save(a | b, hub / "pytorch_model.bin")

    def download(name, file):
        asked.append((name, file))
        if not (hub / file).is_file():
            raise EntryNotFoundError.__new__(EntryNotFoundError)
        return str(shutil.copy(hub / file, cache))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    settings, weights = read_checkpoint(Path("publisher") / "model")
    assert settings == {"d_model": 16} and weights.keys() == {"a", "b", "c"}
    assert all(torch.equal(weights[key], tensor) for key, tensor in (a | b).items())
    name = str(Path("publisher") / "model")
    assert asked == [(name, file) for file in ("config.json", *wanted.split())]
    assert all(type(asked_for) is str for asked_for, _ in asked)


def test_without_the_library_that_fetches_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(OSError, match="to fetch checkpoints by name: pip install transformers"):
        read_checkpoint("publisher/model")


@pytest.mark.parametrize("wrong", [[0, 2], None, -1, 10, 1.0, "0"])
@pytest.mark.parametrize("name", ["pad", "start", "eos", "unk"])
def test_a_special_token_is_one_id_of_the_vocabulary(name, wrong):
    """A config.json may name several ends of a sentence; here a sentence has one."""
    right = dict(pad=9, start=9, eos=0, unk=1)
    with pytest.raises(ValueError, match=rf"{name} must be one id in \[0, 10\), got"):
        Vocabulary(10, **{**right, name: wrong})


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_with_two_ends_of_a_sentence_is_refused(kind, tmp_path):
    make, read = KINDS[kind]
    make().save_pretrained(tmp_path / "m")
    settings = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(settings | {"eos_token_id": [0, 2]}))
    with pytest.raises(ValueError, match=r"eos must be one id in \[0, 53\), got \[0, 2\]"):
        read(tmp_path / "m")


def test_weights_in_several_files_are_those_of_one(tmp_path):
    theirs = marian()
    theirs.save_pretrained(tmp_path / "one")
    theirs.save_pretrained(tmp_path / "many", max_shard_size="4KB")
    parts = sorted((tmp_path / "many").glob("model-*.safetensors"))
    assert len(parts) > 2 and not (tmp_path / "many" / "model.safetensors").exists()
    (_, one), (_, many) = read_checkpoint(tmp_path / "one"), read_checkpoint(tmp_path / "many")
    assert one.keys() == many.keys() and all(torch.equal(one[name], many[name]) for name in one)
    parts[1].unlink()
    with pytest.raises(FileNotFoundError, match=f"many' lacks {parts[1].name}, a part"):
        read_checkpoint(tmp_path / "many")


@pytest.mark.parametrize(
    "index, message",
    [
        ("{", "is damaged"),
        ("{}", "is damaged"),
        ('{"weight_map": {"a": "../other.safetensors"}}', "must name files beside it"),
    ],
)
def test_an_index_that_cannot_be_used_is_named(tmp_path, index, message):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=f"model.safetensors.index.json {message}"):
        read_checkpoint(tmp_path)


def test_marian_with_a_vocabulary_for_each_side_is_refused_by_name(tmp_path):
    changes = dict(share_encoder_decoder_embeddings=False, tie_word_embeddings=False)
    marian(decoder_vocab_size=61, **changes).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="decoder_vocab_size=61.*") as caught:
        from_marian(tmp_path)
    assert "share_encoder_decoder_embeddings=False" in str(caught.value)
