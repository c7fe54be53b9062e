"""Stage 5, SMTP: sessions that are kept open, transactions that are pipelined.

    settings     host, TLS, login, time-outs
    opening      connect, EHLO, STARTTLS, AUTH (by aiosmtplib)
    transaction  the states of a message, without sockets
    framing      dots, blocks, addresses and commands
    replies      bytes -> reply
    reply_rules  which refusals are about whom: a data file, and one of the user's own in front of it
    classify     refusal -> permanence, scope, advice
    retry_after  refusal -> when the next attempt is welcome
    token_command  access tokens for XOAUTH2
    connection   one session on one socket
    pool_size    how many connections a server bears, how fast they may be opened
    pool         how many sessions, and who sends next
    provider     the face to the pipeline

Whom a failure counts for:

- A reply, whatever it says and wherever it comes, also 421 to the final dot: an answer.
- The connection ends before the final dot was handed to it: certainly not sent.
- It ends after that, or nothing is answered in time, or replies no longer match commands: in doubt.
- 421, a time-out or a mismatch: the connection is never used again.
- A further connection is refused while others work, or a reply says that there are too many: the pool settles for
  fewer, and tries one more each minute, later and later if it is refused again. None works: the run stops.
- A session that was told "too many messages" is replaced, and the next ones leave before they are told.
- An idle connection is asked every 5 minutes and closed after 30; one that does not answer is no message's failure.
- A token that is refused is replaced once; the second refusal stops the run.
"""
