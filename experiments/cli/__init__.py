"""The commands. One file is one command; click and tqdm are used here only.

May import everything below it. Heavy imports stay inside the functions: `--help` must not wait for torch.
"""
