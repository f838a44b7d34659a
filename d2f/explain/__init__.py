"""Why a verdict: `explain.py` tells it."""
