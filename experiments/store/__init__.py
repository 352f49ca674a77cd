"""The results folder: runs, measures, records and their digests. `disk` is the only file that changes the disk.

May import `errors` only (and the records of `analysis`).
"""
