"""Train networks from recipes. Training needs PyTorch; reading a recipe does not."""
