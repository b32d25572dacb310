"""Moving files between a disk and an open bucket: `scan` finds what is there, `select` what is to be done, `upload` and `download` do it.

Progress events leave from here only, in the event loop, in order.
"""
