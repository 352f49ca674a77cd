"""One file is one measure.

A file declares, as literals, `LABEL`, `SOURCE` and `UNITS` (metric key -> unit), and defines a pure function with the
file's own name plus

    measure(trial: Trial) -> dict[str, float | numpy.ndarray]

whose keys start with the file's name and a dot ("tone.flat_rms"). A float is one row of the tidy table; undefined
values are NaN. A float array is averaged over seeds when records are collected (so give linear power, never dB); a
uint8 array is a picture, kept for the first seed only.

A measure that can be read off a set of images alone declares `AUDIT` as well, and then takes part in the metric audit
(`analysis.metric_audit.candidates` says what it may hold).

Every function takes images as (N, C, *spatial), of any real type and on any device, and a period as one number or one
per axis; what would be misread is refused (`analysis.spectra.check_images`). Gradients are not followed.
"""

COMPONENT = "module"
