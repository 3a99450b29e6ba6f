"""What every room may know: money, ids, time, errors. Standard library only."""
