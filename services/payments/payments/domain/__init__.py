"""Rules of collecting money: states, outcomes, when to ask again, what to tell people. Imports only the kernel."""
