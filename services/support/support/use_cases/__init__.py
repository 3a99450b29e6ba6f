"""What support does, one verb a module, one transaction each."""
