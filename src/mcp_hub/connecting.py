"""The hub as a client with other people's credentials, put together: registrations, grants, pasted keys, machines.

Rule: what an upstream's configuration says of credentials is split here; the rooms get the few values they need.
"""
