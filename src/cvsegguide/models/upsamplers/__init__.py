"""Learned upsamplers of feature maps."""
