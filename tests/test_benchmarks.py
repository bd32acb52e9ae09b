"""benchmarks/: the arithmetic behind the figures, and the page that keeps them."""

from threading import Thread

import pytest
import torch

from benchmarks import gpu, timing, training_step
from benchmarks.baselines import Marian, TorchTransformer, count_parameters, with_nn_dropout
from helpers.dropout import Dropout
from helpers.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(40, 16, 2, 24, 1, 2, max_length=64)


def test_a_spread_is_the_median_with_its_quartiles():
    assert timing.with_spread([9, 1, 5, 3, 7], ".0f") == "5 (3–7)"
    assert timing.with_spread([2.5], ".1f") == "2.5"


def test_runs_are_interleaved_and_the_first_round_warms_up():
    ran = []
    seconds = timing.time_interleaved({name: lambda n=name: ran.append(n) for name in "ab"}, 2)
    assert ran == ["a", "b"] * 3 and [len(taken) for taken in seconds.values()] == [2, 2]


def test_the_machine_says_what_it_can_do_with_bfloat16():
    assert "bf16" in timing.machine() or "bfloat16" in timing.machine()


def test_a_section_of_the_page_replaces_the_one_with_its_title(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, "PAGE", tmp_path / "speed.md")
    timing.PAGE.write_text("# Speed\n\n## A\n\nold\n\n## B\n\nkept\n", encoding="utf8")
    for title, figure in (("A", "1 new"), ("C", "2 added"), ("A", r"3 \g<0>")):
        with timing.recording(title, True):
            print(figure)
    with timing.recording("B", False):
        print("not wanted")
    with pytest.raises(ZeroDivisionError), timing.recording("B", True):
        print(1 / 0)
    page = timing.PAGE.read_text(encoding="utf8")
    assert [line for line in page.splitlines() if "## " in line] == ["## A", "## B", "## C"]
    assert r"3 \g<0>" in page and "kept" in page and "2 added" in page
    assert page.count(" with\n`python ") == 2  # and how it was made
    assert "old" not in page and "1 new" not in page and "not wanted" not in page
    assert capsys.readouterr().out.split("\n")[:2] == ["1 new", "2 added"]


def test_the_three_models_have_the_same_parameters_and_the_same_work():
    batches = training_step.random_batches(1, 60, CONFIG.vocab_size)
    models = [Transformer(CONFIG), TorchTransformer(CONFIG), Marian(CONFIG)]
    assert len({count_parameters(model) for model in models}) == 1
    work = {training_step.operations(model, batches) for model in models}
    assert len(work) == 1, work
    assert all(parameter.grad is None for parameter in models[0].parameters())


def test_ours_with_nn_dropout_has_no_other():
    model = with_nn_dropout(Transformer(CONFIG))
    assert not any(isinstance(module, Dropout) for module in model.modules())
    rates = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert len(rates) == 2 + 2 + 2 * 3 and set(rates) == {CONFIG.dropout}


class Ended:
    """A contender's process that is gone."""

    def recv(self):
        raise EOFError


def test_a_gpu_contender_that_fails_is_printed_and_the_others_are_measured(monkeypatch, capsys):
    def started(name, engine, *what):
        if name == "Marian":
            return Ended()
        here, there = gpu.SPAWN.Pipe()
        engine = "no such engine" if name == "ours, trainer" else engine
        Thread(target=gpu.contender, args=(there, name, engine, *what)).start()
        return here

    monkeypatch.setattr(gpu, "started", started)
    found = gpu.measured("eager", CONFIG, 60, torch.device("cpu"), 2)
    assert set(found) == {"ours", "nn.Transformer"}
    assert all(per_second > 0 and ready > 0 for per_second, ready in found.values())
    printed = capsys.readouterr().out
    assert "| Marian | eager | its process ended without a word | | |" in printed
    assert "| ours, trainer | eager | KeyError: 'no such engine' | | |" in printed
