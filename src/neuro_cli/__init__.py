"""The `neuro` command line: a user of the public names of `neuro_sdk`, which can do nothing that others cannot."""

__version__ = "0.1.0"
"""As in the distribution's metadata, which takes too long to read for `neuro --version`; a test holds them together."""
