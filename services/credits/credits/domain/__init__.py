"""Pure rules: codes, card states, what a paid order brings. Imports nothing but the kernel."""
