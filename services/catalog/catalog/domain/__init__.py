"""The rules of a catalogue. Pure Python: imports nothing but the kernel."""
