"""Campaigns that are delivered later, or by other machines: what is stored, who takes it, and what is kept once.

Without a server the journal is the queue (``local.py``). With Redis any number of workers share a campaign:

    engine      batches of work: put, leased, given back, redelivered when their worker is gone (Dramatiq)
    server      the client of Redis, and what its errors mean
    store       what Redis holds for a campaign (keys), changed in single steps (Lua, in scripts); beside it the workers
                that there are, and attachments (server_blobs)
    ledger      one byte for each recipient: queued, being sent by whom, or what became of it; told over a wire, and
                kept in a spool while the server is away
    limits      rates and daily limits of all workers together, by the server's clock
    coordinator puts batches, as many as there is room for, and takes outcomes into the journal (home), with patience
                for a server that is away
    worker      leases batches (leases) and sees each through (batches): by the lane of its campaign (lane; lanes,
                opening), which a carrier empties (carriers), while the server is there (presence)

Rules when something fails:

- A recipient's byte says "being sent by this worker" before the message can be complete at the provider. Where that
  cannot be written, the message does not leave. So whoever a killed worker leaves in doubt was in flight there.
- A batch that its worker did not finish is leased anew; who of it is settled, or being sent, is left out.
- An outcome and its byte are written in one step. While the server is away, outcomes are kept in a file of the worker
  and nothing more is sent; they are told when it is back, also by the next worker in that folder.
- The journal is the record. After a loss of the server's memory its final states go back first.
"""
