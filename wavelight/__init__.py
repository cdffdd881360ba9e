"""wavelight: train, compare and extend wavelet generative models of images."""
