"""What credits does, one verb a module, one transaction each."""
