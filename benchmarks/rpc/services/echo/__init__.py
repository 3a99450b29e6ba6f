"""The service that answers what it was asked, on the chassis."""
