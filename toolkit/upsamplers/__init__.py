"""One file is one upsampler, named as in configs; the contract is in `toolkit.contracts.upsampler`."""

COMPONENT = "class"
