"""Notebook 14 with FETCH = True, on a checkpoint with the files that a published one has.

What is fetched by name is here a folder: random weights at the real one's depth, and a real
tokenizer, two SentencePiece models learned from the embedded corpus.
"""

import json

import pytest
import sentencepiece
import torch
import transformers
from nbclient import NotebookClient

from helpers.corpora.toy import generate
from tools import notebooks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    vocabulary = {"</s>": 0, "<unk>": 1}
    pairs = list(generate(2_000))
    for side in ("source", "target"):
        text = folder / f"{side}.txt"
        lines = (getattr(pair, f"{side}_text") for pair in pairs)
        text.write_text("\n".join(lines), encoding="utf8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(folder / side),
            vocab_size=300,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
        for piece in map(pieces.id_to_piece, range(len(pieces))):
            if piece != "<s>":
                vocabulary.setdefault(piece, len(vocabulary))
    vocabulary["<pad>"] = pad = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf8")
    settings = {"source_lang": "de", "target_lang": "en", "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
    torch.manual_seed(0)
    config = transformers.MarianConfig(  # the settings of opus-mt-de-en, narrower
        vocab_size=len(vocabulary),
        d_model=64,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=0,
        forced_eos_token_id=0,
        scale_embedding=True,
        activation_function="swish",
        init_std=0.3,
    )
    transformers.MarianMTModel(config).save_pretrained(folder)
    return folder


def test_notebook_14_works_with_a_published_checkpoint(published):
    (path,) = notebooks.paths("14_")
    notebook = notebooks.read(path)
    name = '"Helsinki-NLP/opus-mt-de-en"'
    (switch,) = (c for c in notebooks.code_cells(notebook) if c.source.startswith("FETCH = False"))
    assert name in switch.source
    switch.source = switch.source.replace("FETCH = False", "FETCH = True")
    switch.source = switch.source.replace(name, repr(str(published)))
    (last,) = (c for c in notebooks.code_cells(notebook) if "HTML(view(" in c.source)
    end = notebook.cells.index(last) + 1
    assert not any("FETCH" in cell.source for cell in notebook.cells[end:])
    del notebook.cells[end:]  # what follows is the same with and without the switch
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    kinds = [list(o.get("data", {})) for o in last.outputs if o.output_type == "display_data"]
    assert kinds[0] == ["image/png"] and "text/html" in kinds[1]
    assert "attention-explorer" in last.outputs[-1].data["text/html"]
