"""Beside the pipeline: what a volume costs, and which approach fits it.

Failure rules: nothing here reads a clock or the network; the only files are the price file (``prices.toml`` comes with
the program) and that of hidden costs. A volume, an approach or a file that cannot be used is a ``UsageError`` that
names file, provider, plan and field; every other input has an answer. A price that is not known is left out, never
guessed. Money is ``Decimal`` US dollars, exact inside and rounded only where it leaves as JSON, CSV or text: amounts to
the cent, the price of one message to six decimals, halves away from zero.
"""
