"""Beside the pipeline: what a volume costs, and which approach fits it.

Failure rules: nothing here reads a file, a clock or the network. A volume or an approach that cannot be used is a
``UsageError``; every other input has an answer. Money is ``Decimal`` US dollars, exact inside and rounded only where
it leaves as JSON: amounts to the cent, the price of one message to six decimals, halves away from zero.
"""
