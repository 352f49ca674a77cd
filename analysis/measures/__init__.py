"""One file is one measure.

A file declares, as literals, `LABEL`, `SOURCE` and `UNITS` (metric key -> unit), and defines a pure function with the
file's own name plus

    measure(trial: Trial) -> dict[str, float | numpy.ndarray]

whose keys start with the file's name and a dot ("tone.flat_rms"). A float is one row of the tidy table; undefined
values are NaN. A float array is averaged over seeds when records are collected (so give linear power, never dB); a
uint8 array is a picture, kept for the first seed only.
"""

COMPONENT = "module"
