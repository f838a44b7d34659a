"""A result as one self-contained HTML page: no script, no network, figures in SVG."""
