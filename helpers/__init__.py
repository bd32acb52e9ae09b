"""The Transformer, part by part: what the notebooks build, and what they then import."""
