"""Running a model on probes made of an example: the probes, their size, the runs, and the model as it was afterwards.

Imports `tracing` and `toolkit`; touches nothing but the model that it is given, for as long as a run takes.
"""
