"""Stage 2, recipients: a row becomes an address, a key, and the variables of its message.

Who counts for what:

- A row without a usable address, or with an empty key, is a ``BadRow`` with the column at fault. The others go on.
- A list without a column of addresses, or without the key's, raises ``ListError`` before its first row is read.
- An address is checked by its syntax alone. Nothing is asked of the network, nothing is corrected: what cannot be sent
  to as it is written is refused with the reason.
"""
