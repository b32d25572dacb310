"""The commands that the service adds to `neuro`: `up`, `token` and `key`. Offered through the entry points in pyproject.toml."""
