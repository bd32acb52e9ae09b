"""Other ways to connect encoder and decoder, for the experiment of notebook 11.

The Transformers all have the same parameters; only what the decoder's middle attention looks at
changes. The two recurrent models are what came before them: one without attention (Sutskever et
al. 2014), and one with it (Bahdanau et al. 2015, Luong et al. 2015).
"""

from itertools import count, takewhile
from types import MappingProxyType, SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from helpers.attention import attention
from helpers.cache import Cache, SelfAttentionCache
from helpers.decoder import Decoder
from helpers.masks import padding_mask
from helpers.transformer import Transformer, TransformerConfig

WIRINGS = MappingProxyType(  # read-only, so that a name cannot be added without its model
    {
        "full": "the final encoding into every decoder layer",
        "layer by layer": "encoder layer i into decoder layer i",
        "first only": "the final encoding into the first decoder layer only",
        "last only": "the final encoding into the last decoder layer only",
        "mean": "one vector, the mean of the final encoding, into every decoder layer",
        "recurrent": "one vector, the last state of a recurrent network; no attention at all",
        "recurrent with cross-attention": "all states of a recurrent network, into one attention",
        "shuffled": "the final encoding of another sentence of the batch",
        "none": "no memory: the middle attention looks at the target again",
    }
)
RECURRENT = ("recurrent", "recurrent with cross-attention")


def check_wiring(wiring: str, config: TransformerConfig) -> None:
    """Raise ValueError for an unknown wiring, or "layer by layer" with unequal stacks."""
    if wiring not in WIRINGS or wiring in RECURRENT:
        known = [name for name in WIRINGS if name not in RECURRENT]
        raise ValueError(f"wiring must be one of {known}, got {wiring!r}")
    if wiring == "layer by layer" and config.num_encoder_layers != config.num_decoder_layers:
        raise ValueError("wiring 'layer by layer' needs as many encoder as decoder layers")


class WiredTransformer(Transformer):
    """A Transformer whose middle attention is rerouted as WIRINGS says.

    In a decoder layer that gets no memory, the same attention looks at the target's own states, so
    the number of parameters stays the same. Raises ValueError as check_wiring and of_a_neighbour
    do.
    """

    def __init__(self, config: TransformerConfig, wiring: str):
        check_wiring(wiring, config)
        super().__init__(config)
        self.wiring = wiring
        self.decoder = WiredDecoder(self.decoder, wiring)

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        """-> a memory for each decoder layer, (batch, layers, source, d_model), and the mask."""
        mask = padding_mask(source_ids)
        x, outputs = self.source_embedding(source_ids), []
        for layer in self.encoder.layers:
            x = layer(x, mask)
            outputs.append(self.encoder.norm(x))
        if self.wiring == "layer by layer":
            return torch.stack(outputs, dim=1), mask
        memory = outputs[-1]
        if self.wiring == "mean":
            memory, mask = pooled(memory, mask)
        if self.wiring == "shuffled":
            memory, mask = of_a_neighbour(memory, mask)
        return memory[:, None].expand(-1, len(self.decoder.layers), -1, -1), mask


class WiredDecoder(nn.Module):
    """The layers of a Decoder, each with the memory that the wiring gives it, or with none."""

    def __init__(self, decoder: Decoder, wiring: str):
        super().__init__()
        self.layers, self.norm, self.wiring = decoder.layers, decoder.norm, wiring

    def forward(
        self,
        y: Tensor,
        memory: Tensor,
        target_mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """As in Decoder, but memory is (batch, layers, source, d_model)."""
        for i, layer in enumerate(self.layers):
            kept = None if cache is None else cache.layers[i]
            if hears_memory(self.wiring, i, len(self.layers)):
                y = layer(y, memory[:, i], target_mask, source_mask, kept)
                continue
            if cache is not None and cache.length == 0:  # its keys will grow with the target
                kept = cache.layers[i] = (cache.layers[i][0], SelfAttentionCache())
            y = layer(y, F.layer_norm(y, y.shape[-1:]), target_mask, target_mask, kept)
        return self.norm(y)


def pooled(memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over real positions, (batch, 1, d_model), and a mask of True."""
    real = mask[:, 0, 0, :, None]  # (batch, source, 1)
    mean = (memory * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)
    return mean, torch.ones_like(mask[..., :1])


def of_a_neighbour(memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The memory and mask of the previous sentence. Raises ValueError if there is only one."""
    if memory.size(0) < 2:
        raise ValueError("wiring 'shuffled' needs at least two sentences in a batch, got 1")
    return memory.roll(1, dims=0), mask.roll(1, dims=0)


def hears_memory(wiring: str, layer: int, num_layers: int) -> bool:
    """Whether decoder layer `layer`, counted from 0, looks at a memory at all."""
    only = {"first only": [0], "last only": [num_layers - 1], "none": []}
    return layer in only.get(wiring, range(num_layers))


class RecurrentTranslator(nn.Module):
    """Encoder and decoder are gated recurrent networks; one vector goes from one to the other.

    The interface is Transformer's. Source: Sutskever et al. 2014; units of Cho et al. 2014 (GRU).
    """

    def __init__(self, vocab_size: int, d_model: int, hidden: int, max_length: int = 512):
        super().__init__()
        sizes = dict(max_length=max_length, vocab_size=vocab_size, num_decoder_layers=1)
        self.config = SimpleNamespace(**sizes)
        self.scale = d_model**0.5
        self.source_embedding = nn.Embedding(vocab_size, d_model)
        self.target_embedding = nn.Embedding(vocab_size, d_model)
        self.encoder = nn.GRU(d_model, hidden, batch_first=True)
        self.decoder = nn.GRU(d_model, hidden, batch_first=True)
        self.to_model = nn.Linear(hidden, d_model)
        self.output = nn.Linear(d_model, vocab_size, bias=False)
        self.source_embedding.weight = self.target_embedding.weight = self.output.weight
        nn.init.normal_(self.output.weight, std=d_model**-0.5)

    def forward(self, source_ids: Tensor, target_ids: Tensor) -> Tensor:
        return self.output(self.decode(target_ids, *self.encode(source_ids)))

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        """source_ids (batch, source) -> the last state (batch, 1, hidden), and a mask of True."""
        mask = padding_mask(source_ids)
        last = read_states(self, source_ids, mask)[1]
        return last, torch.ones_like(mask[..., :1])

    def decode(
        self,
        target_ids: Tensor,
        memory: Tensor,
        source_mask: Tensor,
        cache: Cache | None = None,
        ancestors: Tensor | None = None,
    ) -> Tensor:
        """target_ids (batch, target) -> states (batch, target, d_model); starts from the memory.

        The cache stays empty, so that a search passes the whole prefix each time.
        """
        y = self.target_embedding(target_ids) * self.scale
        states, _ = self.decoder(y, memory.transpose(0, 1).contiguous())
        return self.to_model(states)


def read_states(
    model: RecurrentTranslator, source_ids: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """-> the states after each word, (batch, source, hidden), and after the last real one."""
    lengths = mask.sum(-1).flatten().cpu()
    x = model.source_embedding(source_ids) * model.scale
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    states, last = model.encoder(packed)
    states, _ = pad_packed_sequence(states, batch_first=True, total_length=mask.size(-1))
    return states, last.transpose(0, 1)  # last: (batch, 1, hidden)


class AttentiveRecurrentTranslator(RecurrentTranslator):
    """The recurrent model with one cross-attention: the decoder's states look at the encoder's.

    Source: the score "general" of Luong et al. 2015, but divided by √hidden as in `attention`, and
    without the tanh after it. Apart from its width, it is otherwise the same model.
    """

    def __init__(self, vocab_size: int, d_model: int, hidden: int, max_length: int = 512):
        super().__init__(vocab_size, d_model, hidden, max_length)
        self.w_q = nn.Linear(hidden, hidden, bias=False)
        self.to_model = nn.Linear(2 * hidden, d_model)  # what was written, what was found

    def encode(self, source_ids: Tensor) -> tuple[Tensor, Tensor]:
        """source_ids (batch, source) -> all states (batch, source, hidden), and the mask."""
        mask = padding_mask(source_ids)
        return read_states(self, source_ids, mask)[0], mask

    def decode(
        self,
        target_ids: Tensor,
        memory: Tensor,
        source_mask: Tensor,
        cache: Cache | None = None,
        ancestors: Tensor | None = None,
    ) -> Tensor:
        """As in the model without attention, but each word looks at the memory again."""
        last = source_mask[:, 0, 0].sum(-1) - 1  # (batch,): where the sentence ends
        first = memory[torch.arange(len(memory)), last][None].contiguous()  # (1, batch, hidden)
        states, _ = self.decoder(self.target_embedding(target_ids) * self.scale, first)
        found, _ = attention(self.w_q(states), memory, memory, source_mask[:, 0])
        return self.to_model(torch.cat([states, found], dim=-1))


def build(wiring: str, config: TransformerConfig) -> Any:
    """An untrained model with this wiring, of the config's size or as near as it gets.

    A WiredTransformer, or a recurrent translator, which has the same interface.
    Raises ValueError for an unknown wiring, or as check_wiring does.
    """
    if wiring not in WIRINGS:
        raise ValueError(f"wiring must be one of {list(WIRINGS)}, got {wiring!r}")
    if wiring not in RECURRENT:
        return WiredTransformer(config, wiring)
    kind = RecurrentTranslator if wiring == "recurrent" else AttentiveRecurrentTranslator
    wanted = num_parameters(Transformer(config))

    def size(hidden: int) -> int:
        with torch.device("meta"):  # a model without its numbers, only to count them
            return num_parameters(kind(config.vocab_size, config.d_model, hidden))

    fitting = takewhile(lambda hidden: size(hidden) <= wanted, count(8, step=8))
    hidden = max(fitting, default=8)
    return kind(config.vocab_size, config.d_model, hidden, config.max_length)


def num_parameters(model: nn.Module) -> int:
    """How many parameters a model has; one that is used in several places counts once."""
    return sum(p.numel() for p in model.parameters())
