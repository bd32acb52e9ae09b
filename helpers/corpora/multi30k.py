"""Multi30k: 31,014 image descriptions, German and English. Used in notebook 13.

The data are not part of this project. They are taken from a folder of yours, or fetched from the
public repository of their authors (Elliott et al. 2016, "Multi30K: Multilingual English-German
Image Descriptions"; the captions come from Flickr30k, whose terms ask for non-commercial use).
"""

import errno
import gzip
import hashlib
import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path
from tqdm import tqdm

from helpers.corpora.parallel_text import Pair
from helpers.corpora.text_files import locate, open_bytes
from helpers.files import FULL, cannot_write, remove

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


class Unavailable(OSError):
    """The data are not here and cannot be fetched. The message says what to do."""


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
        texts = {n: check(n, read(locate(Path(folder), n, TEXTS))) for n in TEXTS}
    else:
        texts = {name: fetch(name, address) for name in TEXTS}
    splits = ("train", "val", "test_2016_flickr")
    sides = [
        [texts[f"{split}.{side}"].removesuffix("\n").split("\n") for side in ("de", "en")]
        for split in splits
    ]
    return Multi30k(*(list(zip(*pair, strict=True)) for pair in sides))


def read(path: Path) -> str:
    """The text of a file, plain or .gz. Raises ValueError if it is damaged."""
    try:
        with open_bytes(path) as file:
            return file.read().decode("utf8")
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from None


def check(name: str, text: str) -> str:
    """The text itself. Raises ValueError unless Multi30k's authors published it as `name`."""
    found = hashlib.sha256(text.encode("utf8")).hexdigest()
    if found != TEXTS[name]:
        raise ValueError(
            f"{name} is not Multi30k's: its sha256 is {found[:12]}…, not {TEXTS[name][:12]}…; "
            "delete that copy and fetch it again"
        )
    return text


def cache_folder() -> Path:
    """The system's cache folder for downloads, or a temporary one if that cannot be written."""
    try:
        folder = (
            Path(user_cache_path("understanding-transformers", ensure_exists=True)) / "multi30k"
        )
        folder.mkdir(exist_ok=True)
        complete = all((folder / f"{name}.gz").is_file() for name in TEXTS)
        if not complete and not os.access(folder, os.W_OK):
            raise PermissionError
    except (OSError, RuntimeError):  # no home, or one that cannot be written
        folder = Path(tempfile.gettempdir()) / "understanding-transformers-multi30k"
        folder.mkdir(exist_ok=True)
    return folder


def fetch(name: str, address: str = ADDRESS) -> str:
    """The text, from the cache or else from `address`. A damaged file is fetched again.

    Raises Unavailable if it is not there and cannot be fetched.
    """
    folder, url = cache_folder(), f"{address}{name}.gz"
    path = folder / f"{name}.gz"
    if path.is_file():
        try:
            return check(name, read(path))
        except ValueError:
            remove(path)
    download(url, path)
    try:
        return check(name, read(path))
    except ValueError as error:  # a proxy's page, for example
        remove(path)
        raise Unavailable(help_for(url, error)) from None


def download(url: str, path: Path) -> None:
    """Fetch `url` to `path`, with a progress bar. The file appears there only when it is complete.

    Raises Unavailable, which says what else can be done.
    """
    try:
        import pooch
    except ImportError:
        raise Unavailable(help_for(url, "pooch is missing: pip install pooch")) from None
    pooch.get_logger().setLevel("WARNING")  # the bar says it all
    try:
        # pooch sets the total, but first asks bool(bar), for which a bar must have one already.
        with tqdm(desc=path.name, total=1, unit="B", unit_scale=True) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, timeout=15)
            # Without a hash: our checksums are of the texts, however a copy of them is packed.
            pooch.retrieve(url, None, path.name, path.parent, downloader=downloader)
    except OSError as error:  # requests' errors are OSErrors too, without a number
        if error.errno in (*FULL, errno.EACCES, errno.EROFS):
            error = cannot_write(path, error)
        raise Unavailable(help_for(url, error)) from None


def help_for(url: str, reason: object) -> str:
    names = ", ".join(f"{name}.gz" for name in TEXTS)
    return (
        f"Multi30k could not be fetched from {url} ({reason}). With a network, call again: files "
        f"that have arrived are kept. Without one, put {names} into a folder and name it, as "
        f"load(folder) or in the environment variable {VARIABLE}."
    )
