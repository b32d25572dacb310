"""The same work, done by ours and by every tool that users would pick instead, measured side by side: `make bench`."""
