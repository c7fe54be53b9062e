"""What ``verify`` looks at: the list, the template, the provider. Finds everything, changes nothing, sends nothing.

A finding is a value (``Check``), never an exception. Ids are stable: scripts match on them.
"""
