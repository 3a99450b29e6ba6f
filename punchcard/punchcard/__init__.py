"""The composition root: runs the store as a whole. The only package that may import every service."""
