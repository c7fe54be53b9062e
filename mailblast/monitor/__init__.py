"""Stage 8, monitor: outcomes to what the operator sees.

Hangs on the side and never drives the run: the delivery tells a ``Monitor`` about each outcome, a display samples it
about once a second, and neither can stop or fail the run.

Failure rules: recording does no I/O and does not fail. A display whose terminal or stream is gone falls silent for
the rest of the run. Texts of servers and lists are shown without control characters, cut to length, and are never
read as markup.
"""
