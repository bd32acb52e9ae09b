"""The Transformer, part by part: what the notebooks build, and what they then import."""

# The next release's number, with .dev0 until it is made: CONTRIBUTING.md, "Versions".
__version__ = "0.2.0.dev0"
