"""Plain values over a pipe. Nothing that can be executed ever travels, unlike with pickle.

A message is a line of JSON and then the bytes of its tensors. Numbers, strings, None, tensors,
arrays, lists, tuples and dicts go by value. Whatever else a side wants to mention becomes a mark
that only that side understands; what each side makes of the other's marks is its own business.
"""

import json
import math
import os
import struct

import numpy
import torch

MEGABYTES = 64  # the most that one message may hold
DTYPES = {str(d).removeprefix("torch."): d for d in (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64)}  # fmt: skip


class Gone(Exception):
    """The other side has ended, or has said something that no honest side says."""


class Failed(Exception):
    """What the other side was asked to do raised an exception; this is its text."""


class Mark:
    """A mention of something that stays on the side that has it."""

    def __init__(self, kind: str, content):
        self.kind, self.content = kind, content


class Wire:
    """One end. `ask` sends a request and waits; requests that come in the meantime are served.

    serve(name, *arguments) answers a request. mention(thing) returns the Mark for what is not
    plain, and meaning(kind, content) what a mark of the other side stands for.
    """

    def __init__(self, reader: int, writer: int, serve, mention, meaning):
        self.reader, self.writer = os.fdopen(reader, "rb"), os.fdopen(writer, "wb")
        self.serve, self.mention, self.meaning = serve, mention, meaning

    def ask(self, *request):
        self.send("ask", list(request))
        while True:
            kind, content = self.receive()
            if kind == "answer":
                return content
            if kind == "failed":
                raise Failed(str(content))
            self.answer(content)

    def answer(self, request) -> None:
        try:
            name, *arguments = request
            result = ("answer", self.serve(name, *arguments))
        except Gone:
            raise
        except Exception as error:
            result = ("failed", f"{type(error).__name__}: {error}"[:2000])
        try:
            self.send(*result)
        except (TypeError, ValueError, RuntimeError, RecursionError) as error:
            self.send("failed", f"what came back cannot be passed on: {error}"[:2000])

    def send(self, kind: str, content) -> None:
        blocks: list[bytes] = []
        text = json.dumps([kind, self.plain(content, blocks)]).encode()
        head = struct.pack("<QQ", len(text), sum(map(len, blocks)))
        try:
            self.writer.write(b"".join([head, text, *blocks]))
            self.writer.flush()
        except OSError as error:
            raise Gone("its process ended") from error

    def receive(self):
        sizes = struct.unpack("<QQ", self.exactly(16))
        if sum(sizes) > MEGABYTES * 1_000_000:
            raise Gone(f"it sent more than {MEGABYTES} MB at once")
        text, self.block, self.used = self.exactly(sizes[0]), self.exactly(sizes[1]), 0
        try:
            kind, content = json.loads(text)
            return kind, self.whole(content)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError,
                RecursionError, MemoryError) as error:  # fmt: skip
            raise Gone("it sent something that is not an answer") from error

    def exactly(self, size: int) -> bytearray:
        data = self.reader.read(size) if size else b""
        if len(data) < size:
            raise Gone("its process ended")
        return bytearray(data)

    def plain(self, value, blocks: list[bytes]):
        """The value as JSON can hold it: scalars as they are, all else as [kind, …]."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) in (list, tuple):
            return [type(value).__name__, [self.plain(v, blocks) for v in value]]
        if isinstance(value, torch.Size):
            return ["tuple", list(value)]
        if type(value) is dict:
            pairs = [[self.plain(k, blocks), self.plain(v, blocks)] for k, v in value.items()]
            return ["dict", pairs]
        if isinstance(value, numpy.ndarray | numpy.generic):
            tensor = self.plain(torch.from_numpy(numpy.array(value)), blocks)
            return ["array", tensor]
        mark = self.mention(value)
        if not isinstance(mark, Mark):  # a tensor
            tensor = mark.detach().cpu().contiguous()
            data = tensor.reshape(-1).view(torch.uint8) if tensor.numel() else tensor.reshape(-1)
            data = data.numpy().tobytes()
            start = sum(map(len, blocks))
            blocks.append(data)
            dtype = str(tensor.dtype).removeprefix("torch.")
            return ["tensor", [dtype, list(tensor.shape), start, len(data)]]
        return ["mark", [mark.kind, self.plain(mark.content, blocks)]]

    def whole(self, value):
        if not isinstance(value, list):
            return value
        kind, content = value
        if kind == "list":
            return [self.whole(v) for v in content]
        if kind == "tuple":
            return tuple(self.whole(v) for v in content)
        if kind == "dict":
            return {self.whole(k): self.whole(v) for k, v in content}
        if kind == "array":
            return self.whole(content).numpy()
        if kind == "tensor":
            dtype, shape, start, size = content
            self.used += size  # so that the same bytes are not sent for many tensors
            if min([0, start, size, *shape]) < 0 or max(start + size, self.used) > len(self.block):
                raise ValueError("a tensor outside of its message")
            if size != math.prod(shape) * DTYPES[dtype].itemsize:
                raise ValueError("a tensor whose shape does not fit its bytes")
            if size == 0:
                return torch.empty(shape, dtype=DTYPES[dtype])
            data = self.block[start : start + size]
            if dtype == "bool":  # a byte that is neither 0 nor 1 would be neither True nor False
                return torch.frombuffer(data, dtype=torch.uint8).reshape(shape) != 0
            return torch.frombuffer(data, dtype=DTYPES[dtype]).reshape(shape)
        if kind == "mark":
            return self.meaning(content[0], self.whole(content[1]))
        raise ValueError(f"{kind!r} is not a kind of value")
