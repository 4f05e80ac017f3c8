"""Clients of others, unchanged, each a program: they bring their own copy of the protocol's messages."""
