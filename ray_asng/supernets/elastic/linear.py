"""Linear layers and embeddings whose widths follow choices."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.elastic.base import Elastic, build_plain
from ray_asng.supernets.elastic.slices import sliced
from ray_asng.supernets.value_choice import Width, largest


class Linear(nn.Linear, Elastic):
    """`torch.nn.Linear` with widths that may follow choices.

    Args:
        in_features: of the last dimension of its inputs.
        out_features: of its outputs.
        bias: whether it adds one.
    """

    def __init__(self, in_features: Width, out_features: Width, bias: bool = True) -> None:
        super().__init__(largest(in_features), largest(out_features), bias)
        self.widths = (in_features, out_features)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., in_features) to (..., out_features), at their present values."""
        width_in, width_out = map(int, self.widths)
        return functional.linear(inputs, sliced(self.weight, width_out, width_in), sliced(self.bias, width_out))

    def plain(self) -> nn.Linear:
        """See `Elastic.plain`."""
        width_in, width_out = map(int, self.widths)
        tensors = {"weight": sliced(self.weight, width_out, width_in), "bias": sliced(self.bias, width_out)}
        return build_plain(nn.Linear, self, tensors, width_in, width_out, bias=self.bias is not None)


class Embedding(nn.Embedding, Elastic):
    """`torch.nn.Embedding` with a width that may follow a choice.

    Args:
        num_embeddings: number of tokens.
        embedding_dim: width of a vector.
    """

    def __init__(self, num_embeddings: int, embedding_dim: Width) -> None:
        super().__init__(num_embeddings, largest(embedding_dim))
        self.width = embedding_dim

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(...) int64 tokens to (..., embedding_dim)."""
        # Look up first: a slice of the whole table would be copied for it.
        return functional.embedding(tokens, self.weight)[..., : int(self.width)]

    def plain(self) -> nn.Embedding:
        """See `Elastic.plain`."""
        width = int(self.width)
        return build_plain(nn.Embedding, self, {"weight": self.weight[:, :width]}, self.num_embeddings, width)
