"""What is studied: upsamplers, initializations, remedies, networks, image sources and training."""
