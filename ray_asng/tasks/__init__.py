"""Data on the device, loss and metric. One file a data set; `base` holds the contract."""
