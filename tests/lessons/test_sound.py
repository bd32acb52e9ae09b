"""lessons/sound.py: what a WAV file holds, and the picture that Whisper reads."""

import math
import wave

import pytest
import torch
from transformers import WhisperFeatureExtractor

from helpers.lessons.sound import RATE, example, log_mel, mel_bands, read_wav, resample


def tone(frequency, seconds=0.5, rate=RATE, loudness=0.5):
    time = torch.arange(round(seconds * rate)) / rate
    return loudness * torch.sin(2 * math.pi * frequency * time)


def write(path, channels, width, rate=RATE):
    """Channels of samples from -1 to 1 into a WAV file of `width` bytes a sample."""
    sound = torch.stack(channels, 1).flatten().double()
    whole = (sound * (2 ** (8 * width - 1) - 1)).round().long() + (128 if width == 1 else 0)
    data = b"".join(int(x).to_bytes(width, "little", signed=width > 1) for x in whole)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return path


@pytest.mark.parametrize("width, error", [(1, 1e-2), (2, 1e-4), (3, 1e-6), (4, 1e-6)])
def test_samples_of_every_width_are_read(tmp_path, width, error):
    sound = tone(440, 0.1)
    got = read_wav(write(tmp_path / "a.wav", [sound], width))
    torch.testing.assert_close(got, sound, rtol=0, atol=error)


def test_channels_become_their_mean(tmp_path):
    left, right = tone(440, 0.1), tone(660, 0.1)
    got = read_wav(write(tmp_path / "a.wav", [left, right], 2))
    torch.testing.assert_close(got, (left + right) / 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_another_rate_is_converted(tmp_path, rate):
    got = read_wav(write(tmp_path / "a.wav", [tone(440, 0.5, rate)], 2, rate))
    middle = slice(1000, 7000)  # without the edges
    torch.testing.assert_close(got[middle], tone(440)[middle], rtol=0, atol=2e-2)
    assert len(got) == RATE // 2


def test_what_the_new_rate_cannot_hold_is_gone():
    high = resample(tone(12_000, 0.5, 48_000), 48_000)
    assert high[500:-500].abs().max() < 0.05  # it would come back as a tone of 4,000 Hz


@pytest.mark.parametrize(
    "content, complaint",
    [(b"", "not a WAV"), (b"ID3 this is an mp3", "not a WAV"), (b"RIFF\4\0\0\0WAVE", "not a WAV")],
)
def test_other_files_are_refused(tmp_path, content, complaint):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        read_wav(tmp_path / "a.wav")


@pytest.mark.parametrize("width", [2, 3])
def test_a_recording_that_was_cut_off_within_a_sample_is_read_as_far_as_it_goes(tmp_path, width):
    path = write(tmp_path / "a.wav", [tone(440)], width)
    whole = read_wav(path)
    path.write_bytes(path.read_bytes()[:-1])
    got = read_wav(path)
    assert len(got) == len(whole) - 1 and torch.equal(got, whole[:-1])


def test_no_file_and_no_sound_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.wav"):
        read_wav(tmp_path / "nothing.wav")
    with pytest.raises(ValueError, match="holds no sound"):
        read_wav(write(tmp_path / "a.wav", [tone(440)[:0]], 2))


@pytest.mark.parametrize("seconds", [0.1, 3.3, 30.0])
def test_the_picture_is_the_librarys(seconds):
    torch.manual_seed(0)
    sound = tone(440, seconds) + 0.1 * torch.randn(round(seconds * RATE))
    theirs = WhisperFeatureExtractor()(sound.numpy(), sampling_rate=RATE, return_tensors="pt")
    torch.testing.assert_close(log_mel(sound), theirs.input_features[0], rtol=0, atol=1e-5)


def test_a_higher_tone_stands_higher_and_later_stands_further_right():
    low, high = (log_mel(tone(f))[:, 20].argmax() for f in (300, 3000))
    assert low < high
    later = log_mel(torch.cat([torch.zeros(RATE), tone(440)]))
    assert later[:, 50].max() < later[:, 120].max()


def test_every_band_hears_something():
    bands = mel_bands()
    assert bands.shape == (80, 201) and bands.min() == 0 and (bands.sum(1) > 0).all()
    peaks = bands.argmax(1)
    assert (peaks[1:] >= peaks[:-1]).all()


@pytest.mark.parametrize(
    "sound, complaint",
    [
        (torch.zeros(2, 5), "one row"),
        (torch.zeros(0), "one row"),
        (torch.zeros(5, dtype=torch.long), "floating-point"),
        (torch.zeros(RATE * 31), "at most 30 s long, got 31.0 s"),
    ],
)
def test_bad_sound_is_refused(sound, complaint):
    with pytest.raises(ValueError, match=complaint):
        log_mel(sound)


def test_the_sentence_that_travels_along_is_spoken_word_after_word():
    sound, words = example()
    assert [word for word, *_ in words][:4] == ["Yesterday", "the", "dog", "found"]
    assert all(a[2] == b[1] for a, b in zip(words, words[1:], strict=False))
    assert words[-1][2] == pytest.approx(len(sound) / RATE, abs=0.01)
    assert 0.9 < sound.abs().max() <= 1
