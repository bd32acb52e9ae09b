"""Sound for notebook 16: a WAV file to samples, samples to the picture that Whisper reads.

`log_mel` computes what transformers' WhisperFeatureExtractor computes. Source: Radford et al.
2022, "Robust Speech Recognition via Large-Scale Weak Supervision", section 2.2.
"""

import math
import wave
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.files import read_table

RATE = 16_000  # samples a second
SECONDS = 30  # Whisper always reads this much; what is missing is silence
WINDOW, HOP = 400, 160  # samples: spectra of 25 ms, a new one every 10 ms
MELS = 80
Timing = tuple[str, float, float]  # a word, when it starts and when it ends, in seconds


def read_wav(path: str | Path) -> Tensor:
    """The samples of a WAV file, from -1 to 1: one channel, 16,000 a second.

    Several channels become their mean; another rate is converted. Raises FileNotFoundError if
    there is no such file, ValueError if it is not a WAV file with plain samples.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; path must name a WAV file")
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = bytearray(file.readframes(file.getnframes()))
            del data[len(data) - len(data) % (width * channels) :]  # cut off within a sample
    except (wave.Error, EOFError) as error:
        raise ValueError(
            f"{path.name} is not a WAV file with plain (PCM) samples ({error or 'it ends early'}); "
            "save the recording as WAV, 16 bit"
        ) from None
    if not data:
        raise ValueError(f"{path.name} holds no sound")
    if width == 1:  # bytes from 0 to 255; everything wider is signed
        sound = (torch.frombuffer(data, dtype=torch.uint8).float() - 128) / 128
    else:
        # The highest 32 bits of a sample; a sample of 24 bits gets a low byte of zeros.
        wide = torch.zeros(len(data) // width, 4, dtype=torch.uint8)
        wide[:, 4 - width :] = torch.frombuffer(data, dtype=torch.uint8).view(-1, width)
        sound = wide.flatten().view(torch.int32).float() / 2**31
    return resample(sound.view(-1, channels).mean(1), rate)


def resample(sound: Tensor, rate: int) -> Tensor:
    """The same sound with 16,000 samples a second instead of `rate`: (samples,) -> (samples,).

    Frequencies that the new rate cannot hold are removed.
    """
    if rate == RATE:
        return sound
    length = round(len(sound) * RATE / rate)
    waves = torch.fft.rfft(sound)
    kept = torch.zeros(length // 2 + 1, dtype=waves.dtype)
    both = min(len(waves), len(kept))
    kept[:both] = waves[:both]
    return torch.fft.irfft(kept, n=length) * (length / len(sound))


def log_mel(sound: Tensor) -> Tensor:
    """Samples (samples,) -> a picture of 30 seconds (80, 3000): pitch upwards, time to the right.

    Each column is the spectrum of 25 ms, summed in 80 bands of the mel scale, as a logarithm.
    Anything quieter than a hundred-millionth of the loudest (80 dB below it) is raised to that
    level, so that the largest and the smallest value are at most 2 apart.
    Raises ValueError for sound that is empty, longer than 30 s, or not one row of numbers.
    """
    if sound.dim() != 1 or not sound.is_floating_point() or len(sound) == 0:
        raise ValueError(
            "sound must be one row of floating-point samples, "
            f"got {sound.dtype} of shape {tuple(sound.shape)}"
        )
    if len(sound) > SECONDS * RATE:
        raise ValueError(
            f"sound must be at most {SECONDS} s long, got {len(sound) / RATE:.1f} s; "
            f"sound[:{SECONDS * RATE}] is its beginning"
        )
    padded = F.pad(sound, (0, SECONDS * RATE - len(sound)))
    window = torch.hann_window(WINDOW, dtype=sound.dtype)
    waves = torch.stft(padded, WINDOW, HOP, window=window, return_complex=True)  # (201, 3001)
    power = waves[:, :-1].abs() ** 2
    mel = mel_bands().to(power.dtype) @ power  # (80, 3000)
    loudness = mel.clamp(min=1e-10).log10()
    return (loudness.clamp(min=loudness.max() - 8) + 4) / 4


def mel_bands() -> Tensor:
    """How much of each of the 201 frequencies counts in each of the 80 bands: (80, 201).

    Triangles that overlap, equally wide on the mel scale, which follows the ear: linear up to
    1,000 Hz, logarithmic above. Each has the same area. Source: Slaney 1998, "Auditory Toolbox".
    """
    step = 200 / 3  # Hz for one mel, up to 1,000 Hz, which is 15 mel
    ratio = 6.4 ** (1 / 27)  # above, each mel multiplies the frequency by this
    highest = 15 + math.log(RATE / 2 / 1000) / math.log(ratio)
    mels = torch.linspace(0, highest, MELS + 2, dtype=torch.float64)
    edges = torch.where(mels < 15, mels * step, 1000 * ratio ** (mels - 15))  # in Hz
    frequencies = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    low, middle, high = (edges[i : i + MELS, None] for i in range(3))
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return torch.minimum(rising, falling).clamp(min=0) * 2 / (high - low)


def example() -> tuple[Tensor, list[Timing]]:
    """The spoken sentence that comes with the project, and when each of its words is said.

    The voice is synthetic; `python -m tools.speech` made both files.
    """
    folder = Path(str(resources.files("helpers"))) / "data"
    rows, _ = read_table(folder / "speech.csv", "python -m tools.speech")
    timings = [(row["word"], float(row["start"]), float(row["end"])) for row in rows]
    return read_wav(folder / "speech.wav"), timings
