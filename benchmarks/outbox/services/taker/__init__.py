"""Takes them."""
