"""The study: configs, runs, the store, claims and the command line."""
