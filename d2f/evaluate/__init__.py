"""`d2f chain fit`: calibration, combination and thresholds learned from images that no weights were trained on."""

from __future__ import annotations
