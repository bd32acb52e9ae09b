"""Make the sentence of notebook 16: `python -m tools.speech` writes helpers/data/speech.*.

The voice is that of espeak-ng, a free synthesiser and a system package (`apt-get install
libespeak-ng1`). It is called through its library, which also reports when each word begins.
"""

import argparse
import ctypes
import ctypes.util
import functools
import io
import math
import re
import sys
import wave

import torch
from torch import Tensor

from helpers.files import write_file, write_table
from helpers.lessons.sound import RATE, Timing, resample
from tools.notebooks import ROOT

SENTENCE = "Yesterday the dog found the ball, and the children were very happy."
VOICE, SPEED = "en-us", 130  # words a minute
DATA = ROOT / "helpers" / "data"
WORD = 1  # the kind of event that reports the beginning of a word


class Event(ctypes.Structure):
    """What the library reports while it speaks (espeak_EVENT in its header)."""

    _fields_ = [
        ("kind", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("position", ctypes.c_int),  # of the word in the text, counted from 1
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("content", ctypes.c_char * 8),
    ]


@functools.cache  # it cannot be started twice
def synthesiser() -> tuple[ctypes.CDLL, int]:
    """espeak-ng's library, started, and its samples a second."""
    name = ctypes.util.find_library("espeak-ng")
    if name is None:
        raise OSError("espeak-ng is not installed: apt-get install libespeak-ng1")
    library = ctypes.CDLL(name)
    rate = library.espeak_Initialize(2, 0, None, 0)  # 2: give the samples back, play nothing
    if rate <= 0:
        raise OSError("espeak-ng could not be started")
    return library, rate


def speak(text: str, voice: str = VOICE, speed: int = SPEED) -> tuple[Tensor, list[Timing]]:
    """The spoken text: samples at 16,000 a second, and when each word begins and ends.

    A word ends where the next begins, so a pause belongs to the word before it. The voice says
    some pairs, such as "of the", in one go; the second word of them begins at nan.
    Raises OSError if the library is not installed, ValueError for an unknown voice.
    """
    library, rate = synthesiser()
    pieces, began = [], {}  # where in the text a word is: when it begins, in seconds

    @ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
    )
    def hear(samples, count, events):
        if samples and count:
            pieces.append(torch.tensor(samples[:count], dtype=torch.float32))
        index = 0
        while events[index].kind:
            event = events[index]
            if event.kind == WORD:
                began.setdefault(event.position - 1, event.milliseconds / 1000)
            index += 1
        return 0

    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"voice must be one of `espeak-ng --voices`, got {voice!r}")
    library.espeak_SetParameter(1, speed, 0)
    library.espeak_SetSynthCallback(hear)
    data = text.encode("utf8") + b"\0"
    library.espeak_Synth(data, len(data), 0, 1, 0, 1, None, None)
    library.espeak_Synchronize()
    sound = torch.cat(pieces) / 2**15
    words = [(m[0], began.get(m.start(), math.nan)) for m in re.finditer(r"[\w']+", text)]
    ends = [start for _, start in words[1:]] + [len(sound) / rate]
    return resample(sound, rate), [(w, s, e) for (w, s), e in zip(words, ends, strict=True)]


def as_wav(sound: Tensor) -> bytes:
    """Samples from -1 to 1 as a WAV file of one byte a sample."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(RATE)
        file.writeframes(bytes((sound * 127 + 128).round().clamp(0, 255).to(torch.uint8).tolist()))
    return buffer.getvalue()


def main() -> None:
    try:
        sound, words = speak(SENTENCE)
    except OSError as error:
        sys.exit(str(error))
    write_file(DATA / "speech.wav", as_wav(sound / sound.abs().max()))
    write_table(
        DATA / "speech.csv",
        ("word", "start", "end"),
        [(word, f"{start:.3f}", f"{end:.3f}") for word, start, end in words],
        [f"{SENTENCE}", f"spoken by espeak-ng, voice {VOICE}, {SPEED} words a minute; in seconds"],
    )


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # no options but --help
    main()
