"""What the chassis is compared with: stock nameko, and code that holds up the event loop."""
