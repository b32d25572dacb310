"""The commands that the service adds to `neuro`: `up` and `token`. Offered through the entry points in pyproject.toml."""
