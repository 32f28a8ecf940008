"""Where the next architecture comes from. One file a method; `base` holds the two contracts."""
