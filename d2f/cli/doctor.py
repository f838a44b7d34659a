"""`d2f doctor`: what is in force on this machine."""

from __future__ import annotations

import json

import click

from d2f.api.errors import Exit


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--speed/--no-speed", "measure", default=True, help="Measure MLX's speed; a second or two.")
def doctor(as_json: bool, measure: bool) -> int:
    """Report what is in force here: device, BLAS, speed, formats, plugins, weights.

    Exit code 3 where something is broken that a run would meet.
    """
    from dataclasses import asdict

    from d2f.doctor import examine, report_lines

    findings = list(examine(measure=measure))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(report_lines(findings)))
    return Exit.PLUGIN if any(finding.state == "error" for finding in findings) else Exit.OK
