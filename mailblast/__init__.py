"""mailblast: a list through a template to a mail provider, and the truth about every recipient.

The packages are the pipeline, in the data's order:

    lists       a file, line by line              -> Row or BadRow
    recipients  address, key, variables           -> Recipient
    journal     who is left to be sent            -> Claim
    render      templates and variables           -> Content
    message     content                           -> Message (bytes)
    providers   messages over the wire            -> Attempt
    delivery    one batch through the last three  -> Outcome
    monitor     outcomes                          -> rate, grade, dashboard
    report      the journal                       -> failures, status

``executors`` says where batches run, ``cli`` is what the user types, ``model`` holds the nouns.
"""

__version__ = "0.1.0"
