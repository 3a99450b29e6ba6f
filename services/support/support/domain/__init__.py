"""Pure rules of tickets. Imports nothing but the kernel."""
