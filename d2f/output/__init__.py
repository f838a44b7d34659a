"""Rows written, resumed and summed up.

A format has a module of its own, with its writer and with the reader that resumes it.
"""

from __future__ import annotations

from d2f.output.append import Mode
from d2f.output.done import Done
from d2f.output.formats import FORMATS, Format, choose_format
from d2f.output.head import Head
from d2f.output.opening import open_writer
from d2f.output.summary import Summary
from d2f.output.writer import Writer

__all__ = ["FORMATS", "Done", "Format", "Head", "Mode", "Summary", "Writer", "choose_format", "open_writer"]
