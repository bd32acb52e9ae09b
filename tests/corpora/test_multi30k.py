"""multi30k.py: from a folder or from a server, whole or not at all, with words for every failure.

A small server on this machine plays the public one; the six files are made here.
"""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helpers.corpora import multi30k
from tests.support import cache_in

SENTENCES = {
    name: "".join(f"Satz {i} von {name}, größer.\n" for i in range(40)) for name in multi30k.TEXTS
}


@pytest.fixture(autouse=True)
def small_texts(monkeypatch, tmp_path):
    """The checksums of our own six files, an empty cache, and no folder named."""
    sums = {n: hashlib.sha256(t.encode("utf8")).hexdigest() for n, t in SENTENCES.items()}
    monkeypatch.setattr(multi30k, "TEXTS", sums)
    cache_in(tmp_path / "cache", monkeypatch)
    monkeypatch.delenv(multi30k.VARIABLE, raising=False)


@pytest.fixture
def folder(tmp_path):
    where = tmp_path / "data"
    where.mkdir()
    for name, text in SENTENCES.items():
        (where / f"{name}.gz").write_bytes(gzip.compress(text.encode("utf8")))
    return where


@pytest.fixture
def server(folder):
    """(address, what was asked, how it may misbehave)."""
    asked, trouble = [], {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            data = (folder / self.path.strip("/")).read_bytes()
            asked.append(self.path)
            failed = len(asked) > trouble.get("fail after", 99)
            self.send_response(503 if failed else trouble.get("status", 200))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: trouble.pop("stop after", None)])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", asked, trouble
        running.shutdown()


def test_a_folder_is_read_plain_or_packed(folder, monkeypatch):
    first = multi30k.load(folder)
    assert len(first.train) == len(first.test) == 40
    assert first.validation[3] == ("Satz 3 von val.de, größer.", "Satz 3 von val.en, größer.")
    (folder / "val.de.gz").unlink()
    (folder / "val.de").write_text(SENTENCES["val.de"], encoding="utf8")
    monkeypatch.setenv(multi30k.VARIABLE, str(folder))
    assert multi30k.load() == first


def test_what_a_folder_lacks_is_named(folder):
    (folder / "train.en.gz").unlink()
    with pytest.raises(FileNotFoundError, match="neither train.en nor train.en.gz"):
        multi30k.load(folder)


def test_another_text_or_a_damaged_file_is_refused(folder):
    (folder / "val.en.gz").write_bytes(gzip.compress(b"something else\n"))
    with pytest.raises(ValueError, match="val.en is not Multi30k's"):
        multi30k.load(folder)
    (folder / "val.en.gz").write_bytes(gzip.compress(b"cut short, halfway")[:-9])
    with pytest.raises(ValueError, match="val.en.gz is damaged"):
        multi30k.load(folder)


def test_it_is_downloaded_once_with_progress(folder, server, capsys):
    address, asked, _ = server
    assert multi30k.load(address=address) == multi30k.load(folder)
    assert len(asked) == 6 and "train.de.gz" in capsys.readouterr().err
    assert multi30k.load(address=address) == multi30k.load(folder)
    assert len(asked) == 6  # from the cache
    assert sorted(p.name for p in multi30k.cache_folder().iterdir()) == sorted(
        f"{name}.gz" for name in SENTENCES
    )


def test_an_interrupted_download_leaves_nothing_and_starts_again(folder, server):
    address, asked, trouble = server
    trouble["stop after"] = 50
    with pytest.raises(multi30k.Unavailable, match="files that have arrived are kept"):
        multi30k.load(address=address)
    assert list(multi30k.cache_folder().iterdir()) == []
    assert multi30k.load(address=address) == multi30k.load(folder)
    assert len(asked) == 1 + 6 and len(list(multi30k.cache_folder().iterdir())) == 6


def test_files_that_have_arrived_are_not_fetched_again(folder, server):
    address, asked, trouble = server
    trouble["fail after"] = 4
    with pytest.raises(multi30k.Unavailable, match="files that have arrived are kept"):
        multi30k.load(address=address)
    assert len(list(multi30k.cache_folder().iterdir())) == 4
    del trouble["fail after"]
    assert multi30k.load(address=address) == multi30k.load(folder)
    assert len(asked) == 4 + 1 + 2


def test_a_cached_file_that_is_damaged_is_fetched_anew(folder, server):
    address, asked, _ = server
    multi30k.load(address=address)
    path = multi30k.cache_folder() / "val.de.gz"
    path.write_bytes(path.read_bytes()[:-4])
    assert multi30k.load(address=address) == multi30k.load(folder)
    assert len(asked) == 7


def test_a_corrupt_download_is_not_kept(folder, server):
    address, _, _ = server
    (folder / "train.de.gz").write_bytes(gzip.compress(b"evil\n"))
    with pytest.raises(multi30k.Unavailable, match="train.de is not Multi30k's"):
        multi30k.load(address=address)
    assert not list(multi30k.cache_folder().iterdir())


def test_without_a_network_it_says_what_can_be_done(server):
    address, _, trouble = server
    trouble["status"] = 404
    with pytest.raises(multi30k.Unavailable, match=r"404.*environment variable MULTI30K"):
        multi30k.load(address=address)
    with pytest.raises(multi30k.Unavailable, match=r"Without one, put train\.de\.gz"):
        multi30k.load(address="http://127.0.0.1:9/")


def test_the_cache_finds_a_place_without_a_home(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder", encoding="utf8")
    cache_in(blocked, monkeypatch)
    monkeypatch.setattr(multi30k.tempfile, "gettempdir", lambda: str(tmp_path))
    assert multi30k.cache_folder() == tmp_path / "understanding-transformers-multi30k"
