"""What a component promises: upsampler, initializer, image source, remedy. One file is one contract."""
