"""One file is one upsampler; the file's name is its name in configs. The contract is in `toolkit.upsampler`."""

COMPONENT = "class"
