"""Where batches run. Only ``Batch`` goes out to an executor and only ``Outcome`` comes back.

``run.py`` is the whole of one run: list, claims, batches, outcomes, second tries, end.
"""
