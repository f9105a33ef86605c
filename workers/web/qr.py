"""workers/web/qr.py: an address as a QR code (SVG), made here: no rating's address is told to anybody."""

import io

import segno

BORDER = 2


def svg(text: str) -> bytes:
    """Black on white, error correction M; no style in it, as the pages' policy wants."""
    out = io.BytesIO()
    made = segno.make(text, error="m", micro=False)
    made.save(out, kind="svg", border=BORDER, scale=4, dark="#000", light="#fff", svgclass=None, lineclass=None)
    return out.getvalue()
