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
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, cast

MARK = "\ufeff"  # the byte order mark that some editors put in front of a text


class ParallelText:
    """The lines of two plain files, or of a table (.tsv, .csv), each of them plain or packed (.gz).

    A table's first two columns are the source and the target, unless its first row names the two
    sides. Iterating yields (line number, source, target); a blank side is "".
    Raises ValueError naming file and line: files of unequal length, another encoding, a row with
    another number of columns than the first, a stray quotation mark, a damaged file.
    """

    def __init__(self, paths: Sequence[Path], sides: Sequence[str], encoding: str = "utf-8"):
        self.paths, self.sides, self.encoding = paths, sides, encoding
        self.columns = ""  # which ones are read, where a table has more than two

    def __str__(self) -> str:
        return " and ".join(path.name for path in self.paths)

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        rows = self.two_files() if len(self.paths) == 2 else self.table()
        for number, source, target in rows:
            yield number, clean(source), clean(target)

    def two_files(self) -> Iterator[tuple[int, str, str]]:
        sides = [
            lines_of(path, self.encoding, other)
            for path, other in zip(self.paths, self.paths[::-1], strict=True)
        ]
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
        columns, width = (0, 1), 0
        for number, row in rows_of(path, self.encoding):
            if len(row) != width:
                if not any(map(str.strip, row)):
                    yield number, "", ""
                    continue
                if not width:
                    width, first_line = len(row), number
                    found = columns_named(row, self.sides)
                    columns = found or columns
                    if width > 2:
                        self.columns = f"columns {columns[0] + 1} and {columns[1] + 1} of {width}"
                    if found:
                        continue
                if len(row) <= max(columns):
                    raise ValueError(
                        f"{path}, line {number:,}: a row needs at least {max(columns) + 1} columns,"
                        f" got {len(row)}: {row[0][:60]!r}{hint(path, row)}"
                    )
                if len(row) != width:
                    raise ValueError(
                        f"{path}, line {number:,}: the row has {len(row)} columns, but line "
                        f"{first_line:,} has {width}{hint(path, row)}"
                    )
            yield number, row[columns[0]], row[columns[1]]


def hint(path: Path, row: Sequence[str]) -> str:
    """What may be wrong with a row that does not have as many columns as it should."""
    if ".csv" not in path.suffixes:
        if len(row) == 1:
            return "; its cells must be separated by tabs"
        return "; is there a tab inside a sentence, here or there?"
    if ";" in row[0]:
        return "; its cells seem to be separated by semicolons: separate them by commas or tabs"
    if len(row) == 1:
        return "; its cells must be separated by commas"
    return "; a sentence with a comma in it needs quotation marks around it"


def columns_named(row: Sequence[str], sides: Sequence[str]) -> tuple[int, int] | None:
    """Where the source's and the target's columns are, if this row is a table's header."""
    names = [name.strip().lower() for name in row]
    for source, target in ((side.lower() for side in sides), ("source", "target")):
        if source in names and target in names:
            return names.index(source), names.index(target)
    return None


def clean(text: str) -> str:
    """A sentence as it is used: in NFC, without a byte order mark or spaces around it."""
    text = text.removeprefix(MARK).strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def lines_of(path: Path, encoding: str, other: Path | None = None) -> Iterator[str]:
    """The lines of a file, ends included. Raises ValueError naming what is wrong, and the line.

    `other` is the file that is read beside it, whose encoding must be the same.
    """
    try:
        with open_text(path, encoding) as file:
            for line in islice(file, 1):
                if "\r" in line.strip() and not line.endswith("\n"):
                    raise ValueError(
                        f"{path} is one long line, because its lines end in CR as on old Macs; "
                        "save it with line feeds (LF)"
                    )
                yield line.removeprefix(MARK)
            yield from file
    except UnicodeError:
        raise wrong_encoding(path, encoding, other) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); make or fetch it again") from None


def rows_of(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of a .csv, or of a file whose cells are separated by tabs."""
    if ".csv" not in path.suffixes:
        for number, line in enumerate(lines_of(path, encoding), 1):
            yield number, line.rstrip("\r\n").split("\t")
        return
    reader, first = csv.reader(lines_of(path, encoding), strict=True), 1
    try:
        for row in reader:
            yield first, row
            first = reader.line_num + 1
    except csv.Error as error:
        where = f"line {first:,}"
        if reader.line_num > first:
            where = f"the row from line {first:,} to line {reader.line_num:,}"
        what = (
            f"the quotation marks do not fit ({error}). A cell that begins with one must end with "
            'one, and those inside are doubled: """Hello"" she said"'
        )
        if "new-line" in str(error):
            what = "a line end (CR) inside a row; save the table with line feeds (LF)"
        raise ValueError(f"{path}, {where}: {what}") from None


def open_bytes(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def open_text(path: Path, encoding: str) -> IO[str]:
    """The file as text; only a line feed ends a line.

    Raises ValueError for zeros in the text, and for UTF-8 that would be read as something else.
    """
    try:
        "".encode(encoding)
    except LookupError:
        raise ValueError(f"--encoding must name an encoding, got {encoding!r}") from None
    name = codecs.lookup(encoding).name
    with open_bytes(path) as file:
        if b"\0" in file.read(1000) and not name.startswith(("utf-16", "utf-32")):
            raise wrong_encoding(path, encoding)
    if name not in ("utf-8", "utf-8-sig") and not_ascii(path, "utf-8"):
        raise ValueError(
            f"{path} is UTF-8, not {encoding.upper()}: leave --encoding out, and convert other "
            "files to UTF-8"
        )
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="\n")


def not_ascii(path: Path, encoding: str) -> bool:
    """Whether a file has letters that are not ASCII and all of it is in this encoding."""
    decoder, found = codecs.getincrementaldecoder(encoding)(), False
    try:
        with open_bytes(path) as file:
            while block := file.read(1 << 16):
                found = not decoder.decode(block).isascii() or found
            decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return found


def wrong_encoding(path: Path, encoding: str, other: Path | None = None) -> ValueError:
    """What to say about a file that is not in this encoding: the line, and what it looks like."""
    number, line = 0, b""
    with open_bytes(path) as file:
        for line in file:
            number += 1
            try:
                line.decode(encoding)
            except UnicodeError:
                break
            if b"\0" in line:
                break
    high = re.findall(rb"[\x80-\xff]+", line)  # runs of bytes that are not ASCII
    marked = line[:2] in (b"\xff\xfe", b"\xfe\xff")
    if marked or b"\0" in line:
        codec = "utf-16" if marked else "utf-16-le" if line[1:2] == b"\0" else "utf-16-be"
        guess, codec = "UTF-16", f"--encoding {codec}"
    elif not high:
        guess, codec = "ASCII", "--encoding ascii"
    elif 2 * sum(len(run) for run in high if len(run) > 2) > sum(map(len, high)):
        guess = "two bytes a letter (GB18030, Shift_JIS, EUC-KR) or Cyrillic (Windows-1251)"
        codec = "--encoding with its name"
    else:
        guess, codec = "Latin-1 or Windows-1252", "--encoding cp1252"
    advice = f"add {codec}, or convert the file to UTF-8"
    if other is not None and not_ascii(other, encoding):
        advice = f"{other.name} is {encoding.upper()}, so convert {path.name} to that as well"
    return ValueError(
        f"{path}, line {number:,}: the text is not {encoding.upper()}. It looks like {guess}: "
        f"{advice}"
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
