"""Follows every refresh until it has become Freight, or it is known why not, and asks again for what Kargo lost.

`follower` is the thread; `lanes` is what it keeps in memory, by Warehouse; `looking` looks up in the cluster what the
mirror does not keep; `story` writes a refresh's row; `owners` shares the rows among serving processes; `closing` brings
deliveries up to date; `corrections` sees to Freight that comes late. The rules are in `receivers.kargo.progress`.
"""
