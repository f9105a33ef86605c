"""devices: the wire. Topics, codecs, device profiles, the reference device client and the simulator of a hall."""
