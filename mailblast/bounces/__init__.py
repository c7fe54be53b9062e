"""What comes back after a message was accepted: delivery reports and complaints.

A report that cannot be read is counted and left alone. One that names no message of ours changes nothing, whatever it
says of an address: otherwise anybody could put anybody on the do-not-mail list. Reading a report twice does what
reading it once does.
"""
