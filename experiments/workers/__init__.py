"""Where tasks run: processes of this machine, Dask, Slurm; and how a worker ends on a signal.

Knows neither runs nor results: a task is a function with plain arguments.
"""
