"""Stage 5, SMTP: sessions that are kept open, transactions that are pipelined.

    settings     host, TLS, login, time-outs
    opening      connect, EHLO, STARTTLS, AUTH (by aiosmtplib)
    transaction  the states of a message, without sockets
    framing      dots, blocks, addresses and commands
    replies      reply -> permanence and scope
    connection   one session on one socket
    pool         how many sessions, and who sends next
    provider     the face to the pipeline

Whom a failure counts for:

- A reply, whatever it says and wherever it comes, also 421 to the final dot: an answer.
- The connection ends before the final dot was handed to it: certainly not sent.
- It ends after that, or nothing is answered in time, or replies no longer match commands: in doubt.
- 421, a time-out or a mismatch: the connection is never used again.
- A further connection is refused while others work: the pool settles for fewer. None works: the run stops.
"""
