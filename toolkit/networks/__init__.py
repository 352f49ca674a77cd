"""One file is one network; each takes an upsampler factory, and nothing else varies."""

COMPONENT = "class"
