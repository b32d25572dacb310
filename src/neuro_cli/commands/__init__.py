"""The commands, one a file; `blob` is a group of its own."""
