"""Where buckets live: the seam in `base`, one file a provider."""
