"""Pure values and codecs that are not hot: bytes in, values out; no sockets, no clocks."""
