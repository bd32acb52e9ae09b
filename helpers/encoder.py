"""The encoder: a stack of layers, each self-attention and feed-forward. Built in notebook 05.

Source: Vaswani et al. 2017, section 3.1.
"""

from torch import Tensor, nn

from helpers.attention import MultiHeadAttention
from helpers.layers import AddNorm, FeedForward


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each inside add & norm.

    x (batch, source, d_model), mask broadcastable to (batch, heads, source, source) -> like x.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.1,
        norm_first: bool = False,
    ):
        super().__init__()
        self.self_attention = MultiHeadAttention(d_model, num_heads)
        self.feed_forward = FeedForward(d_model, d_ff)
        self.add_norm_self = AddNorm(d_model, dropout, norm_first)
        self.add_norm_ff = AddNorm(d_model, dropout, norm_first)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.add_norm_self.before(x)  # look around: the source looks at the source
        x = self.add_norm_self(x, self.self_attention(h, h, mask))
        h = self.add_norm_ff.before(x)  # think: each position by itself
        return self.add_norm_ff(x, self.feed_forward(h))


class Encoder(nn.Module):
    """num_layers encoder layers, one after the other; pre-norm adds one last norm on top.

    x (batch, source, d_model) -> memory (batch, source, d_model).
    """

    def __init__(
        self,
        num_layers: int,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.1,
        norm_first: bool = False,
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(d_model, num_heads, d_ff, dropout, norm_first) for _ in range(num_layers)
        )
        # Post-norm layers end in a norm already; a pre-norm stack would end without one.
        self.norm = nn.LayerNorm(d_model) if norm_first else nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x)
