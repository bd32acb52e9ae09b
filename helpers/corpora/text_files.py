"""Text files of your own: plain or packed, in UTF-8 or another encoding, line by line.

Every error names the file and, where there is one, the line.
"""

import codecs
import csv
import gzip
import hashlib
import io
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import IO, cast


class ParallelText:
    """The lines of two plain files, or of a table (.tsv, .csv), each of them plain or packed (.gz).

    A table's first two columns are the source and the target, unless its first row names the two
    sides. Iterating yields (line number, source, target); a blank side is "".
    Raises ValueError naming file and line: files of unequal length, another encoding, a row with
    one column, a damaged file.
    """

    def __init__(self, paths: Sequence[Path], sides: Sequence[str], encoding: str = "utf-8"):
        self.paths, self.sides, self.encoding = paths, sides, encoding

    def __str__(self) -> str:
        return " and ".join(path.name for path in self.paths)

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        rows = self.two_files() if len(self.paths) == 2 else self.table()
        for number, source, target in rows:
            yield number, clean(source), clean(target)

    def two_files(self) -> Iterator[tuple[int, str, str]]:
        sides = [lines_of(path, self.encoding) for path in self.paths]
        for number, (source, target) in enumerate(zip_longest(*sides), 1):
            if source is None or target is None:
                short, long = self.paths if source is None else self.paths[::-1]
                more = number + sum(1 for side in sides for _ in side)
                raise ValueError(
                    f"{long} has {more:,} lines, but {short} ends after line {number - 1:,}: "
                    "each line needs its translation on the same line of the other file"
                )
            yield number, source, target

    def table(self) -> Iterator[tuple[int, str, str]]:
        (path,) = self.paths
        columns = (0, 1)
        for first, (number, row) in enumerate(rows_of(path, self.encoding)):
            if first == 0 and (found := columns_named(row, self.sides)):
                columns = found
                continue
            if len(row) <= max(columns):
                if not any(map(str.strip, row)):
                    row = ["", ""]
                else:
                    raise ValueError(
                        f"{path}, line {number}: a row needs at least {max(columns) + 1} columns, "
                        f"got {len(row)}: {row[0][:60]!r}"
                    )
            yield number, row[columns[0]], row[columns[1]]


def columns_named(row: Sequence[str], sides: Sequence[str]) -> tuple[int, int] | None:
    """Where the source's and the target's columns are, if this row is a table's header."""
    names = [name.strip().lower() for name in row]
    for source, target in ((side.lower() for side in sides), ("source", "target")):
        if source in names and target in names:
            return names.index(source), names.index(target)
    return None


def clean(text: str) -> str:
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a file, ends included. Raises ValueError naming what is wrong, and the line."""
    try:
        with open_text(path, encoding) as file:
            yield from file
    except UnicodeDecodeError:
        raise wrong_encoding(path, encoding) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); make or fetch it again") from None


def rows_of(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of a .csv, or of a file whose cells are separated by tabs."""
    if ".csv" not in path.suffixes:
        for number, line in enumerate(lines_of(path, encoding), 1):
            yield number, line.rstrip("\r\n").split("\t")
        return
    reader = csv.reader(lines_of(path, encoding))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None


def open_bytes(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def open_text(path: Path, encoding: str) -> IO[str]:
    """The file as text; only a line feed ends a line. Raises ValueError for zeros in the text."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ValueError(f"--encoding must name an encoding, got {encoding!r}") from None
    with open_bytes(path) as file:
        wide = any(name in encoding.lower().replace("_", "-") for name in ("16", "32"))
        if b"\0" in file.read(1000) and not wide:
            raise wrong_encoding(path, encoding)
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"  # without the mark that some editors leave
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="\n")


def wrong_encoding(path: Path, encoding: str) -> ValueError:
    """What to say about a file that is not in this encoding: the line, and what it looks like."""
    number, line = 0, b""
    with open_bytes(path) as file:
        for line in file:
            number += 1
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                break
            if b"\0" in line:
                break
    high = re.findall(rb"[\x80-\xff]+", line)  # runs of bytes that are not ASCII
    marked = line[:2] in (b"\xff\xfe", b"\xfe\xff")
    if marked or b"\0" in line:
        codec = "utf-16" if marked else "utf-16-le" if line[1:2] == b"\0" else "utf-16-be"
        guess = f"UTF-16: add --encoding {codec}"
    elif 2 * sum(len(run) for run in high if len(run) > 2) > sum(map(len, high)):
        guess = "two bytes a letter (GB18030, Shift_JIS, EUC-KR) or Cyrillic (Windows-1251): "
        guess += "add --encoding with its name"
    else:
        guess = "Latin-1 or Windows-1252: add --encoding cp1252"
    return ValueError(
        f"{path}, line {number:,}: the text is not {encoding.upper()}. It looks like {guess}, or "
        "convert the file to UTF-8"
    )


def locate(folder: Path, name: str, needed: Iterable[str]) -> Path:
    """The file `name` or `name`.gz in a folder that should hold all of `needed`.

    Raises FileNotFoundError if neither is there, ValueError if both are and they differ.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    found = [path for path in (plain, packed) if path.is_file()]
    if not found:
        raise FileNotFoundError(
            f"{str(folder)!r} holds neither {name} nor {name}.gz; it needs {', '.join(needed)}"
        )
    if len(found) == 2 and digest_of(plain) != digest_of(packed):
        raise ValueError(
            f"{name} and {name}.gz in {str(folder)!r} are two different texts; remove the one that "
            "is out of date"
        )
    return found[0]


def digest_of(path: Path) -> str:
    try:
        with open_bytes(path) as file:
            return hashlib.sha256(file.read()).hexdigest()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path.name} in {str(path.parent)!r} is damaged ({error})") from None
