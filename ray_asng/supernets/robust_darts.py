"""S1 to S4: parts of the DARTS space in which methods that mix operations tend to collapse.

    supernet = Supernet(s4(width=16, cells=8))

References:
    Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020; the operations of S1
    are those of its code (automl/RobustDARTS, src/spaces.py), which found them by running DARTS twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from ray_asng.supernets.darts import DARTSNetwork
from ray_asng.supernets.darts_states import NODES, NOISE, NONE, edge_name

_SHORT = {
    "skip": "skip_connect",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "sep3": "sep_conv_3x3",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
}

# Node -> its sources in turn.
_S1 = {
    "normal": {
        2: "skip/dil3  skip/dil5",
        3: "skip/dil5  skip/sep3  skip/dil3",
        4: "max/skip  skip/sep3  skip/sep3  skip/dil3",
        5: "skip/sep3  max/skip  skip/dil3  dil3/dil5  dil3/dil5",
    },
    "reduce": {
        2: "max/avg  max/dil3",
        3: "max/avg  max/avg  skip/dil5",
        4: "max/avg  max/sep3  skip/dil3  skip/dil5",
        5: "max/avg  max/avg  skip/dil5  skip/dil5  skip/dil5",
    },
}

S1 = {
    edge_name(kind, source, node): tuple(_SHORT[short] for short in pair.split("/"))
    for kind, nodes in _S1.items()
    for node in NODES
    for source, pair in enumerate(nodes[node].split())
}
"""Two operations on each edge, decision by decision."""
S2 = ("skip_connect", "sep_conv_3x3")
S3 = (NONE, "skip_connect", "sep_conv_3x3")
S4 = (NOISE, "sep_conv_3x3")


def _network_of(
    name: str, operations: Sequence[str] | Mapping[str, Sequence[str]], about: str
) -> partial[DARTSNetwork]:
    """`DARTSNetwork` with these operations, and its other options; reports call it by its name here."""
    network = partial(DARTSNetwork, operations=operations)
    network.__doc__, network.__module__, network.__qualname__ = about, __name__, name  # type: ignore[attr-defined]
    return network


s1 = _network_of("s1", S1, "The DARTS network with two operations on each edge, each edge with its own.")
s2 = _network_of("s2", S2, "The DARTS network with skip connections and separable 3x3 convolutions.")
s3 = _network_of("s3", S3, "The DARTS network with empty edges, skip connections and separable 3x3 convolutions.")
s4 = _network_of("s4", S4, "The DARTS network with noise and separable 3x3 convolutions.")
