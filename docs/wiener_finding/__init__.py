"""What `make_wiener_finding.py` reads, measures, says and draws."""
