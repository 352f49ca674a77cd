"""One file is one table: `build(records) -> pandas.DataFrame`."""
