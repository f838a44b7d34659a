"""A page of the figures."""


def report(records):
    return ""
