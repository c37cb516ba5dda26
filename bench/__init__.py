"""Speed, measured: `python -m bench` (or `make bench`) prints ratios that were taken in one run."""
