"""What the store costs and how fast it is: ``python -m benchmarks`` (``make bench``). See README.md."""
