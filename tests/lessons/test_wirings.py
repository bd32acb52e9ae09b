"""wirings.py, bugs.py and experiment.py: what is rerouted, what stays, what is written down."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from helpers.batching import collate
from helpers.corpora.toy import splits
from helpers.lessons.broken_models import CASES, put_into
from helpers.lessons.wiring_experiment import Row, gradients, read_rows, run, write_rows
from helpers.lessons.wirings import WIRINGS, WiredTransformer, build
from helpers.special_ids import PAD
from helpers.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(24, 16, 4, 32, 3, 3, dropout=0.0, norm_first=True, max_length=32)
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, PAD, PAD]])
TARGET = torch.tensor([[1, 13, 14, 15], [1, 16, 17, 18]])
ATTENTION = [name for name in WIRINGS if name != "recurrent"]


def built(wiring):
    torch.manual_seed(0)
    return build(wiring, CONFIG).double().eval()


def test_full_is_the_transformer():
    torch.manual_seed(0)
    ours = Transformer(CONFIG).double().eval()
    torch.testing.assert_close(built("full")(SOURCE, TARGET), ours(SOURCE, TARGET))


def test_all_wirings_have_the_same_parameters_and_the_recurrent_one_hardly_fewer():
    sizes = {w: sum(p.numel() for p in built(w).parameters()) for w in WIRINGS}
    assert len({sizes[w] for w in ATTENTION}) == 1
    assert 0.8 * sizes["full"] < sizes["recurrent"] <= sizes["full"]


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


def test_bad_wirings_are_named():
    with pytest.raises(ValueError, match="wiring must be one of"):
        WiredTransformer(CONFIG, "sideways")
    uneven = TransformerConfig(24, 16, 4, 32, 2, 3)
    with pytest.raises(ValueError, match="as many encoder as decoder"):
        WiredTransformer(uneven, "layer by layer")
    with pytest.raises(ValueError, match="at least two sentences"):
        built("shuffled").encode(SOURCE[:1])


def test_gradients_see_who_is_connected():
    batch = collate([([5, 6, 7], [8, 9]), ([10, 11, 12], [13, 14])])
    by_position, encoder, decoder = gradients(built("full"), batch)
    assert by_position.shape == (4,) and (by_position > 0).all() and encoder > 0 and decoder > 0
    by_position, encoder, decoder = gradients(built("none"), batch)
    assert (by_position == 0).all() and encoder == 0 and decoder > 0


def test_a_run_is_repeatable_and_its_table_survives_the_file(tmp_path):
    data = splits(train=200, validation=60, test=20)
    first, second = (run("mean", 3, data, steps=6, max_tokens=256) for _ in range(2))
    assert first == second
    path = tmp_path / "rows.csv"
    write_rows(path, first, ["command: a test"])
    rows, comments = read_rows(path)
    assert comments == ["command: a test"] and len(rows) == len(first)
    for row, wanted in zip(rows, first, strict=True):
        assert row.value == pytest.approx(wanted.value, rel=1e-4, abs=1e-6)
    with pytest.raises(FileNotFoundError, match="make experiment"):
        read_rows(tmp_path / "absent.csv")


def test_the_committed_table_has_every_wiring_with_three_seeds():
    rows, comments = read_rows()
    assert {(r.wiring, r.seed) for r in rows} == {(w, s) for w in WIRINGS for s in (0, 1, 2)}
    assert comments[1].startswith("command: ") and "torch" in comments[2]
    assert all(isinstance(r, Row) for r in rows)


def test_an_experiment_goes_on_where_it_stopped(tmp_path, monkeypatch):
    root = Path(__file__).parents[1]
    spec = importlib.util.spec_from_file_location("bench", root / "benchmarks/experiment.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    assert bench.finished("first only", 1, 30).name == "first_only-1-30.csv"
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    for wiring in WIRINGS:
        write_rows(bench.finished(wiring, 0, 5), [Row(wiring, 0, "exact_match", "all", 0.5)])
    output = tmp_path / "table.csv"
    arguments = ["experiment", "--seeds", "0", "--steps", "5", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench.main()  # nothing is left to run: it only puts the table together
    assert [r.wiring for r in read_rows(output)[0]] == list(WIRINGS)


@pytest.mark.parametrize("name", CASES)
def test_every_case_says_where_it_was_reported(name):
    repository, number = CASES[name].reported.split(" #")
    assert repository.count("/") == 1 and int(number) > 0


MODELS = [name for name, case in CASES.items() if isinstance(case.bug, type)]


@pytest.mark.parametrize("name", MODELS)
def test_the_refactoring_is_harmless_and_the_weights_are_the_same(name):
    bug, fix, refactored = (m.eval() for m in CASES[name].subjects()[:3])
    torch.testing.assert_close(refactored(SOURCE, TARGET), fix(SOURCE, TARGET), rtol=0, atol=1e-10)
    assert all(torch.equal(a, b) for a, b in zip(bug.parameters(), fix.parameters(), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_a_broken_model_takes_trained_weights_and_differs(name):
    torch.manual_seed(0)
    model = Transformer(CONFIG).eval()
    broken = put_into(CASES[name].bug, model)
    assert all(
        torch.equal(a, b) for a, b in zip(broken.parameters(), model.parameters(), strict=True)
    )
    if name != "position":  # that one sleeps until there is a cache
        assert not torch.allclose(broken(SOURCE, TARGET), model(SOURCE, TARGET))
