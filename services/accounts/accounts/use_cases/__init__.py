"""One verb a module, one transaction each."""
