"""Dropout that costs little on a CPU. Notebook 04 explains what it is for.

It does what nn.Dropout does; only how the random numbers are drawn is different.
"""

from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """nn.Dropout in about a third of its time on a CPU, where drawing random numbers is the cost.

    On a CPU, one random byte decides whether a number is dropped, so the rate is p rounded to a
    multiple of 1/256 (`rate`; a p that would round to 0 or to 1 is left to nn.Dropout). The numbers
    that stay are multiplied by 1 / (1 - rate), which keeps the mean. On other devices, and under
    torch.compile, it is nn.Dropout.
    Raises ValueError unless 0 <= p < 1.
    """

    def __init__(self, p: float = 0.5):
        check_dropout("p", p)
        super().__init__(p)

    @property
    def rate(self) -> float:
        """The share of numbers that is dropped in training on a CPU."""
        dropped = round(self.p * 256)
        return dropped / 256 if 0 < dropped < 256 else self.p

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(self.p * 256)  # of 256 possible bytes
        bytewise = x.device.type == "cpu" and 0 < dropped < 256
        if not self.training or not bytewise or torch.compiler.is_compiling():
            return F.dropout(x, self.p, self.training)
        eight_bytes = torch.empty(x.numel() // 8 + 1, dtype=torch.int64, device=x.device)
        eight_bytes.random_(-(2**63), None)
        keep = eight_bytes.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        keep, growth = keep.to(x.dtype), 256 / (256 - dropped)
        if x.dtype.itemsize < 4:  # bfloat16 would round the factor, and so shift every product
            return x * keep * growth
        return x * keep.mul_(growth)

    def extra_repr(self) -> str:
        return f"p={self.p}, rate={self.rate:g}"


def check_dropout(name: str, p: float) -> None:
    """Raise ValueError, naming the argument, unless p lies in [0, 1), which leaves something."""
    if isinstance(p, bool) or not isinstance(p, Real) or not 0 <= p < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {p!r}")
