"""Networks whose operations are chosen or mixed. One file a network; `choice` and `supernet` hold the mechanism."""
