"""The control plane: knows buckets, owners and credentials. No blob ever passes through it."""

from importlib.metadata import version

__version__ = version("neuro-buckets")
