"""Multi30k: 31,014 image descriptions, German and English. Used in notebook 13.

The data are not part of this project. They are taken from a folder of yours, or fetched from the
public repository of their authors (Elliott et al. 2016, "Multi30K: Multilingual English-German
Image Descriptions"; the captions come from Flickr30k, whose terms ask for non-commercial use).
"""

import errno
import gzip
import hashlib
import http.client
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from helpers.checkpoints import FULL, cannot_write

ADDRESS = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
VARIABLE = "MULTI30K"  # the environment variable that names a folder

# sha256 of each text, uncompressed: however a copy is packed, the sentences are the same.
TEXTS = {
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
}

Pair = tuple[str, str]  # a German and an English sentence


class Unavailable(OSError):
    """The data are neither here nor can they be fetched; the message says what to do."""


@dataclass(frozen=True)
class Multi30k:
    """29,000 pairs to train on, 1,014 to choose by, 1,000 to report (test_2016_flickr)."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


def load(folder: str | Path | None = None, address: str = ADDRESS) -> Multi30k:
    """The pairs, from `folder`, or from the one that $MULTI30K names, or else downloaded once.

    A folder holds train.de, train.en, val.de, … test_2016_flickr.en, each plain or as .gz; it is
    read, never written. Without one, files are fetched into a cache with their progress shown.
    Raises Unavailable if that fails, FileNotFoundError if the folder lacks a file, ValueError
    for a text that is not Multi30k's.
    """
    folder = folder or os.environ.get(VARIABLE)
    if folder:
        texts = {name: read(Path(folder), name) for name in TEXTS}
    else:
        texts = {name: fetch(name, address) for name in TEXTS}
    for name, text in texts.items():
        check(name, text)
    splits = ("train", "val", "test_2016_flickr")
    sides = [
        [texts[f"{split}.{side}"].removesuffix("\n").split("\n") for side in ("de", "en")]
        for split in splits
    ]
    return Multi30k(*(list(zip(*pair, strict=True)) for pair in sides))


def read(folder: Path, name: str, needed: Iterable[str] = TEXTS) -> str:
    """The text of `name` or `name`.gz in a folder that should hold all of `needed`.

    Raises FileNotFoundError if it is not there, ValueError if it is damaged.
    """
    packed, plain = folder / f"{name}.gz", folder / name
    if not packed.is_file() and not plain.is_file():
        raise FileNotFoundError(
            f"{str(folder)!r} holds neither {name} nor {name}.gz; it needs {', '.join(needed)}"
        )
    try:
        data = gzip.decompress(packed.read_bytes()) if packed.is_file() else plain.read_bytes()
        return data.decode("utf8")
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{name} in {str(folder)!r} is damaged ({error})") from None


def check(name: str, text: str) -> None:
    """Raise ValueError unless `text` is what Multi30k's authors published as `name`."""
    found = hashlib.sha256(text.encode("utf8")).hexdigest()
    if found != TEXTS[name]:
        raise ValueError(
            f"{name} is not Multi30k's: its sha256 is {found[:12]}…, not {TEXTS[name][:12]}…; "
            "delete that copy and fetch it again"
        )


def cache_folder() -> Path:
    """Where downloads are kept: $XDG_CACHE_HOME, or ~/.cache, or a temporary folder."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "understanding-transformers" / "multi30k"
        folder.mkdir(parents=True, exist_ok=True)
        complete = all((folder / f"{name}.gz").is_file() for name in TEXTS)
        if not complete and not os.access(folder, os.W_OK):
            raise PermissionError
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        folder = Path(tempfile.gettempdir()) / "understanding-transformers-multi30k"
        folder.mkdir(exist_ok=True)
    return folder


def fetch(name: str, address: str = ADDRESS) -> str:
    """The text, from the cache or else from `address`; what is damaged is fetched anew.

    Raises Unavailable if it is not there and cannot be fetched.
    """
    folder = cache_folder()
    path = folder / f"{name}.gz"
    if path.is_file():
        try:
            text = read(folder, name)
            check(name, text)
            return text
        except ValueError:
            with suppress(OSError):  # read-only: then the download says so
                path.unlink()
    download(f"{address}{name}.gz", path)
    try:
        text = read(folder, name)
        check(name, text)
    except ValueError as error:  # a proxy's page, for example
        path.unlink()
        raise Unavailable(help_for(f"{address}{name}.gz", error)) from None
    return text


def download(url: str, path: Path, say: Callable[[str], None] | None = None) -> None:
    """Fetch `url` to `path`. The file appears there only when it is complete.

    What an interrupted download left in `path`.part is kept, and the next one goes on from it.
    Raises Unavailable, which says what else can be done.
    """
    say = say or (lambda line: print(line, end="", file=sys.stderr, flush=True))
    unfinished = path.with_name(path.name + ".part")
    have = unfinished.stat().st_size if unfinished.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            if response.status != 206:  # the server sends all of it, whatever we asked for
                have = 0
            total = have + int(response.headers.get("Content-Length") or 0)
            with unfinished.open("ab" if have else "wb") as file:
                shown = 0.0
                while block := response.read(1 << 16):
                    file.write(block)
                    have += len(block)
                    if time.monotonic() - shown > 0.2 or have == total:
                        shown = time.monotonic()
                        say(f"\r{path.name}  {have / 1e6:.2f} of {total / 1e6:.2f} MB ")
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send: start over, to be sure
            unfinished.unlink(missing_ok=True)
            download(url, path, say)
            return
        raise Unavailable(help_for(url, error)) from None
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in (*FULL, errno.EACCES, errno.EROFS):  # not the network
            error = cannot_write(unfinished, error)
        raise Unavailable(help_for(url, getattr(error, "reason", error))) from None
    if have < total:
        raise Unavailable(help_for(url, f"the connection ended after {have:,} of {total:,} bytes"))
    say("\n")
    os.replace(unfinished, path)


def help_for(url: str, reason: object) -> str:
    return (
        f"Multi30k could not be fetched from {url} ({reason}). With a network, call again: what "
        f"has arrived is kept. Without one, put {', '.join(f'{n}.gz' for n in TEXTS)} into a "
        f"folder and name it, as load(folder) or in the environment variable {VARIABLE}."
    )
