"""What is measured: spectra, statistics, measures, the audit, and the figures and tables drawn from records."""
