"""Compiled data plane: what runs once per message. The .pxd files are its map."""
