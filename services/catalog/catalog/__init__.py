"""The catalogue: products, categories, prices and terms, and the file they are imported from."""
