"""A trained model as a folder that Hugging Face's Hub, timm and plain PyTorch know what to do with."""
