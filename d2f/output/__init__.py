"""Rows written, resumed and summed up.

A format has a writer, and a reader that resumes it.
"""

from __future__ import annotations

from d2f.output.append import FORMATS, Format, Head, Mode, Writer, choose_format
from d2f.output.opening import Done, open_writer
from d2f.output.summary import Summary

__all__ = ["FORMATS", "Done", "Format", "Head", "Mode", "Summary", "Writer", "choose_format", "open_writer"]
