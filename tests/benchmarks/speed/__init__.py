"""MLX beside PyTorch on this machine's processor, on the same weights and inputs, in turn."""
