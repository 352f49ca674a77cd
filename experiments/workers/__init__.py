"""Where tasks run: processes of this machine, Dask, Slurm; and how a worker ends when it is told to.

Knows neither runs nor results: a task is a function with plain arguments.
"""
